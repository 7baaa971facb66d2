package procmaps

import (
	"errors"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// Alive says the same through /proc/PID/pagemap as from the mappings.
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
				m, err := Open(target.PID, WithSource(source))
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				if m.probe == nil {
					t.Fatal("the pagemap is not open")
				}
				if err := errors.Join(m.Alive(), m.askAlive()); err != nil {
					t.Fatalf("Alive = %v", err)
				}
				if end == nil {
					return
				}
				end(target)
				for _, err := range []error{m.Alive(), m.askAlive()} {
					if err != ErrGone {
						t.Errorf("Alive = %v; want ErrGone", err)
					}
				}
			})
		}
	}
}
