//! Which commit a store is the index of.

use codegraph_vector::{PersistentVectorStore, Result};

use super::git::{Changes, Commit};
use super::rows::INDEX_VERSION;

/// The store's property that names the commit: its id, and after it what else has to be the same so that only what
/// changed since has to be looked at: [`INDEX_VERSION`], the limit on the bytes of a file, the number of the store's
/// last commit, and the folder in the tree. It is there only while the store is that and nothing else.
const PROPERTY: &str = "index.commit";

/// What the property says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Basis {
    pub(super) commit: String,
    max_file_bytes: u64,
    seqno: u64,
    folder: String,
}

impl Basis {
    /// What the store says. `None` also if that is of another version.
    pub(super) fn of_store(store: &PersistentVectorStore) -> Result<Option<Self>> {
        Ok(store.property(PROPERTY)?.as_deref().and_then(Self::parse))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(5, ' ');
        let commit = words.next()?.to_owned();
        if words.next()?.parse() != Ok(INDEX_VERSION) {
            return None;
        }
        let (max_file_bytes, seqno) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { commit, max_file_bytes, seqno, folder: words.next()?.to_owned() })
    }

    /// What a commit has otherwise than the store. `None` if nobody can tell from what is recorded.
    pub(super) fn changes(
        &self,
        store: &PersistentVectorStore,
        commit: &Commit,
        max_file_bytes: u64,
    ) -> Result<Option<Changes>> {
        let seqno = store.stats()?.seqno.0;
        let holds =
            (self.max_file_bytes, self.seqno, &*self.folder) == (max_file_bytes, seqno, commit.folder());
        Ok(if holds { commit.changes_since(&self.commit) } else { None })
    }
}

/// Makes the store the index of a commit, or of none.
pub(super) fn record(store: &PersistentVectorStore, commit: Option<(&Commit, u64)>) -> Result<()> {
    let Some((commit, max_file_bytes)) = commit else {
        return if store.property(PROPERTY)?.is_some() { store.set_property(PROPERTY, None) } else { Ok(()) };
    };
    let (id, seqno, folder) = (commit.id(), store.stats()?.seqno.0, commit.folder());
    store.set_property(PROPERTY, Some(&format!("{id} {INDEX_VERSION} {max_file_bytes} {seqno} {folder}")))
}

/// The id of the commit that a store is the index of. `None` if it is that of a folder as it was, of nothing, or of a
/// commit in part.
///
/// # Errors
/// Whatever the store fails with.
pub fn commit_of(store: &PersistentVectorStore) -> Result<Option<String>> {
    let text = store.property(PROPERTY)?;
    Ok(text.and_then(|text| text.split(' ').next().map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_version_recorded_is_no_basis() {
        let folder = "a folder/b".to_owned();
        let basis = Basis { commit: "abc".to_owned(), max_file_bytes: 7, seqno: 9, folder };
        assert_eq!(Basis::parse(&format!("abc {INDEX_VERSION} 7 9 a folder/b")), Some(basis));
        assert_eq!(Basis::parse(&format!("abc {INDEX_VERSION} 7 9 ")).unwrap().folder, "");
        for text in
            ["", "abc", &format!("abc {} 7 9 ", INDEX_VERSION + 1), &format!("abc {INDEX_VERSION} 7 x ")]
        {
            assert_eq!(Basis::parse(text), None, "{text:?}");
        }
    }
}
