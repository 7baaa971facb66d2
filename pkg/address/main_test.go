// SPDX-License-Identifier: Apache-2.0

package address_test

import (
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }
