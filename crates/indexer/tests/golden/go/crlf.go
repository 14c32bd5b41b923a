// About the package.
package a

// F does.
// It does.
func F() {
}

// Far.

type T struct {
	a int
}
