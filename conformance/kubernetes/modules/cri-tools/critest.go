// Package critest names what critest, which is a test, imports, so that go.mod and go.sum have it.
package critest

import (
	_ "sigs.k8s.io/cri-tools/pkg/benchmark"
	_ "sigs.k8s.io/cri-tools/pkg/validate"
)
