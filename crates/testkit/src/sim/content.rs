//! The bytes of a file in pages that are shared until written.
//!
//! A clone costs one reference count. A page that was never written nor reserved is a hole, which
//! takes no space; all pages of zeros are one. Bytes of the last page beyond the end are zero.

use std::sync::{Arc, LazyLock};

/// Bytes a page: the unit of sharing and of space.
pub(super) const PAGE: usize = 4096;

/// Longest file; keeps a wild offset from taking the machine's memory.
pub(super) const MAX_LEN: u64 = 1 << 33;

type Page = Arc<[u8; PAGE]>;

static ZEROS: LazyLock<Page> = LazyLock::new(|| Arc::new([0; PAGE]));

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    len: u64,
    pages: Arc<Vec<Option<Page>>>,
}

impl Content {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut content = Self::default();
        content.write(bytes, 0);
        content
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(&mut bytes, 0);
        bytes
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let want = buf.len().min(self.len.saturating_sub(offset) as usize);
        for (page, start, range) in pieces(offset, want) {
            let target = &mut buf[range];
            match self.pages.get(page).and_then(Option::as_ref) {
                Some(bytes) => target.copy_from_slice(&bytes[start..start + target.len()]),
                None => target.fill(0),
            }
        }
        want
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        let pages = pages_until(&mut self.pages, end);
        for (page, start, range) in pieces(offset, bytes.len()) {
            let source = &bytes[range];
            match <&[u8; PAGE]>::try_from(source) {
                Ok(whole) if *whole == [0; PAGE] => pages[page] = Some(ZEROS.clone()),
                Ok(whole) => pages[page] = Some(Arc::new(*whole)),
                Err(_) => {
                    let page = pages[page].get_or_insert_with(|| ZEROS.clone());
                    Arc::make_mut(page)[start..start + source.len()].copy_from_slice(source);
                }
            }
        }
        self.len = self.len.max(end);
    }

    /// Reserves pages, and grows the file to their end.
    pub(super) fn allocate(&mut self, offset: u64, len: u64) {
        if len == 0 {
            return;
        }
        let end = offset + len;
        let pages = pages_until(&mut self.pages, end);
        for page in &mut pages[offset as usize / PAGE..(end as usize).div_ceil(PAGE)] {
            page.get_or_insert_with(|| ZEROS.clone());
        }
        self.len = self.len.max(end);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let pages = Arc::make_mut(&mut self.pages);
            pages.truncate((len as usize).div_ceil(PAGE));
            let (last, rest) = (len as usize / PAGE, len as usize % PAGE);
            if let Some(Some(page)) = pages.get_mut(last) {
                Arc::make_mut(page)[rest..].fill(0);
            }
        }
        self.len = len;
    }

    /// Grows the file to `len` if it is shorter; what is new is a hole.
    pub(super) fn extend_to(&mut self, len: u64) {
        self.len = self.len.max(len);
    }

    /// Space taken, in bytes.
    pub(super) fn allocated(&self) -> u64 {
        (self.pages.iter().flatten().count() * PAGE) as u64
    }

    /// How many of `len` bytes at `offset` can be written with `free` bytes of space.
    pub(super) fn fitting(&self, offset: u64, len: usize, mut free: u64) -> usize {
        for (page, _, range) in pieces(offset, len) {
            if self.pages.get(page).is_none_or(Option::is_none) {
                if free < PAGE as u64 {
                    return range.start;
                }
                free -= PAGE as u64;
            }
        }
        len
    }
}

fn pages_until(pages: &mut Arc<Vec<Option<Page>>>, end: u64) -> &mut Vec<Option<Page>> {
    let count = (end as usize).div_ceil(PAGE);
    let pages = Arc::make_mut(pages);
    if pages.len() < count {
        pages.resize(count, None);
    }
    pages
}

/// Cuts `len` bytes at `offset` at the page borders: (page, where in it, which of the bytes).
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset as usize + done;
        let from = done;
        done += (PAGE - at % PAGE).min(len - done);
        (from < done).then_some((at / PAGE, at % PAGE, from..done))
    })
}
