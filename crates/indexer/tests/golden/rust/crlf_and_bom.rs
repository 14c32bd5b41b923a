//! File.

/// Of f.
/// More.
#[a]
fn f(
) {
}

/**
 * Of S.
 */
struct S {
}

/// Far.

mod m {
    //! In m.
    fn g() {}
}