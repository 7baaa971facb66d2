// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// What job control does to a process around and during a call has the effect that it
// would have had without the call.
func TestAProcessUnderJobControl(t *testing.T) {
	const stop, cont, call = unix.SIGSTOP, unix.SIGCONT, unix.Signal(0)
	for _, test := range []struct {
		name   string
		before unix.Signal
		during []unix.Signal // and calls
		after  unix.Signal   // behind the run, before the session ends
		runs   bool
	}{
		{name: "stopped before, it stays stopped", before: stop, during: []unix.Signal{call}},
		{name: "stopped from a terminal before, it stays stopped", before: unix.SIGTSTP, during: []unix.Signal{call}},
		{name: "stopped before and continued before the call, it runs", before: stop, during: []unix.Signal{cont, call}, runs: true},
		{name: "stopped before and continued after the call, it runs", before: stop, during: []unix.Signal{call, cont}, runs: true},
		{name: "stopped before and continued after the run, it runs", before: stop, during: []unix.Signal{call}, after: cont, runs: true},
		{name: "stopped during the run, it stops after it", during: []unix.Signal{stop, call}},
		{name: "stopped between two calls, it stops after them", during: []unix.Signal{call, stop, call}},
		{name: "stopped after the last call, it stops after it", during: []unix.Signal{call, stop}},
		{name: "stopped after the run, it stops after it", during: []unix.Signal{call}, after: stop},
		{name: "stopped and continued before the call, it runs", during: []unix.Signal{stop, cont, call}, runs: true},
		{name: "stopped before the call and continued after it, it runs", during: []unix.Signal{stop, call, cont}, runs: true},
		{name: "stopped before the call and continued after the run, it runs", during: []unix.Signal{stop, call}, after: cont, runs: true},
		{name: "stopped, continued and stopped, it stops", during: []unix.Signal{stop, call, cont, call, stop, call}},
		{name: "stopped twice, it stops", before: stop, during: []unix.Signal{call, stop, call}},
		{name: "stopped twice and continued, it runs", before: stop, during: []unix.Signal{call, stop, call, cont, call}, runs: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			process := testtarget.Start(t)
			process.Do("threads 5")
			if test.before != 0 {
				testtarget.Send(t, process.PID, test.before)
				testtarget.WaitForStates(t, process.PID, "T")
			}
			target := stopTarget(t, process.PID)
			run(t, target, func(c *Caller) error {
				for _, signal := range test.during {
					if signal == call {
						if err := c.Munmap(mapPage(t, c), pageSize); err != nil {
							return err
						}
					} else {
						testtarget.Send(t, process.PID, signal)
					}
				}
				return nil
			})
			if test.after != 0 {
				testtarget.Send(t, process.PID, test.after)
			}
			target.Session.Resume()
			testtarget.WantFree(t, process.PID)
			if !test.runs {
				testtarget.WaitForStates(t, process.PID, "T")
				testtarget.Send(t, process.PID, unix.SIGCONT)
			}
			testtarget.WantRunning(t, process)
		})
	}
}
