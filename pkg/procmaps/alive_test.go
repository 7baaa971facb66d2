// SPDX-License-Identifier: Apache-2.0

package procmaps

import (
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

func TestAlive(t *testing.T) {
	ends := map[string]func(*testtarget.Target){
		"it is killed":              func(target *testtarget.Target) { target.Kill() },
		"it ends":                   func(target *testtarget.Target) { target.End() },
		"it runs another program":   func(target *testtarget.Target) { target.Try("execself") },
		"it has gone on for a time": nil,
	}
	for _, source := range []Source{Ioctl, Text} {
		for name, end := range ends {
			t.Run(source.String()+"/"+name, func(t *testing.T) {
				if source == Ioctl {
					testtarget.Need(t, "PROCMAP_QUERY")
				}
				target := testtarget.Start(t)
				m, err := Open(target.PID, WithSource(source))
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				if err := m.Alive(); err != nil {
					t.Fatalf("Alive = %v", err)
				}
				if end == nil {
					return
				}
				end(target)
				if err := m.Alive(); err != ErrGone {
					t.Errorf("Alive = %v; want ErrGone", err)
				}
			})
		}
	}
}
