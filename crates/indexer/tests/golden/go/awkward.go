// Copyright 2009 The Authors. All rights reserved.
// Use of this source code is governed by a BSD-style license.

//go:build linux

// Package awkward is documented.
//
// At length.
package awkward

import (
	"fmt"
	. "strings"
)

// Not a node.
const (
	A = iota
	B
)

// Point is a struct.
type Point struct {
	// X is a field.
	X, Y int `json:"x"`
	fmt.Stringer
}

/* A block comment. */
type Shape interface {
	// Area is no node.
	Area() float64
	~int | ~string
}

// Of the group.
type (
	// Celsius is in a group.
	Celsius float64

	Pair[K comparable, V any] struct {
		Key K
		Val V
	}
	Alias = map[string]func(int) error
	Empty interface{}
)

type Func func(a, b int) (c int, err error)

// String has a pointer receiver.
func (p *Point) String() string { return fmt.Sprint(p.X) }

func (Point) Unnamed() {}

// Get is generic.
//
//go:noinline
func (p *Pair[K, V]) Get(k K) (v V, ok bool) {
	// Not about the type.
	x := 1

	// Local is in a method.
	type Local struct{ a int }
	f := func() {
		type InLiteral int
	}
	f()
	return
}

func (p (*(Point))) Parenthesized() {}

// Map is a function.
func Map[T, U any](in []T, f func(T) U) []U {
	return nil
} // Behind.
func Größe(ö int) int { return ö }

func asm(a int) int

func init() {}
func init() {}

var handler = func() { type InVar struct{} }

type Later struct {
	Inner struct{ A int }
}; func SameLine() {}
