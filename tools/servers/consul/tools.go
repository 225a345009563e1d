//go:build tools

// Package tools names the program that the tests build: `go install` refuses Consul's module
// because of its replace directives, a module of ours that requires it does not.
package tools

import _ "github.com/hashicorp/consul"
