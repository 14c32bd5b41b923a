package a

func Whole() int { return 1 }

// Half is found.
func (t *T) Half(a int) {
	x :=
	if a.
}

// After is still found.
func After() {}

func () {}

type S struct {
	a int

func (s S) Last() {
	for {
