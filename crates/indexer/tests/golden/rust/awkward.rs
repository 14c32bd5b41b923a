#!/usr/bin/env run-cargo-script
// Copyright 2020 Somebody.
// SPDX-License-Identifier: MIT

// Notes on the file.

//! What the file owns.
//! Second line.

#![doc = "More on the file."]
#![allow(dead_code)]

use std::fmt;

/// A trait.
///
/// With two paragraphs.
pub trait Shape<'a>: fmt::Debug {
    /// Not a node.
    type Unit;
    const SIDES: usize;
    /// How large.
    fn area(&self) -> f64;
    fn name(&self) -> String {
        /// In a method.
        fn helper() {}
        helper();
        String::new()
    }
}

// A remark is no documentation.
#[derive(Debug, Clone)]
/** A block
 *  comment. */
#[doc = "And an attribute."]
#[doc(hidden)]
pub(crate) struct Point<T, const N: usize>
where
    T: Copy,
{
    /// A field.
    x: [T; N],
}

/// Too far away.

struct Unit;

struct Tuple(pub u8, u8); /// Behind something else.

struct AfterTuple;

//// Four slashes are a remark.
impl<T: Copy, const N: usize> Point<T, N> {
    //! Of the impl, which is no node.

    /// Makes one.
    #[inline]
    #[must_use]
    pub const fn new(x: [T; N]) -> Self {
        Self { x }
    }

    pub async unsafe fn later<F>(&self, f: F) -> impl Fn() + use<'_, F, T, N>
    where
        F: Fn(u8) -> u8,
    {
        move || {
            struct Local;
            impl Local {
                fn deep() {}
            }
        }
    }
}

impl<'a, T: Copy, const N: usize> Shape<'a> for Point<T, N> {
    type Unit = u8;
    const SIDES: usize = 0;
    fn area(&self) -> f64 {
        0.0
    }
}

impl fmt::Display for self::Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}
impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl Trait for &'static mut [u8] { fn of_slice() {} }
impl Trait for (u8,
    u16) { fn of_tuple() {} }
impl Trait for Box<dyn Fn(u8) -> u8 + Send> { fn of_box() {} }
impl dyn Trait + Send { fn of_dyn() {} }
impl !Send for Unit {}

/// An enum.
pub enum Kind {
    /// A variant.
    One,
    Two { a: u8 },
}

union Bits { a: u32, b: f32 }

/// An alias.
type Alias<T> = Result<T, ()>;

/// Not here.
mod elsewhere;

mod inline {
    //! Of the module.
    /*! Still of the module. */
    #![doc = r"Raw, too."]

    /// In it.
    pub(super) fn inner() {
        //! Of the function.
    }
    pub mod deeper { pub fn inner() {} }
}

/// Says hello.
#[macro_export]
macro_rules! hello {
    ($name:ident) => {
        fn $name() {}
    };
}

hello!(generated);

unsafe extern "C" {
    /// From C.
    pub fn strlen(s: *const u8) -> usize;
}

#[cfg(a)]
fn twin() {}
#[cfg(not(a))]
fn twin() {}

fn r#match() { let größe = |x: u8| { fn in_closure() {} x }; }
fn größe() {} /** On the same line. */ fn same_line() {}

const _: () = { fn in_const() {} };
