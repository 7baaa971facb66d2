package procmaps

import (
	"errors"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// Alive says the same through /proc/PID/pagemap as from the mappings, opened
// before the end of the address space or not.
func TestAliveThroughThePagemap(t *testing.T) {
	ends := map[string]func(*testtarget.Target){
		"it is killed":              func(target *testtarget.Target) { target.Kill() },
		"it ends":                   func(target *testtarget.Target) { target.End() },
		"it runs another program":   func(target *testtarget.Target) { target.Try("execself") },
		"it has gone on for a time": nil,
	}
	for _, source := range []Source{Ioctl, Text} {
		for name, end := range ends {
			t.Run(source.String()+"/"+name, func(t *testing.T) {
				target := testtarget.Start(t)
				var opened [2]*Maps
				for i := range opened {
					m, err := Open(target.PID, WithSource(source))
					if err != nil {
						t.Fatal(err)
					}
					defer m.Close()
					opened[i] = m
				}
				if err := opened[0].Alive(); err != nil {
					t.Fatalf("Alive = %v", err)
				}
				if opened[0].probe.fd.Load() <= 0 {
					t.Error("it does not ask the pagemap")
				}
				if end == nil {
					return
				}
				end(target)
				for i, m := range opened {
					if err := m.Alive(); !errors.Is(err, ErrGone) {
						t.Errorf("Alive of number %d = %v; want ErrGone", i, err)
					}
				}
				if opened[1].probe.fd.Load() > 0 {
					t.Error("it asks the pagemap of another address space")
				}
			})
		}
	}
}
