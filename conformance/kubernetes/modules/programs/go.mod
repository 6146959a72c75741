module ocirun/conformance/programs

go 1.21
