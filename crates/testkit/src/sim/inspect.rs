//! The tester's doors to the disk: switches, damage and looks that are no calls and are not
//! observed.

use std::path::{Path, PathBuf};

use super::content::Content;
use super::fault::Lies;
use super::file_node::FileNode;
use super::state::{ROOT, State};
use super::{Errno, SimVfs};

impl SimVfs {
    /// Lets the disk lie about syncs from now on.
    pub fn set_lies(&self, lies: Lies) {
        self.lock().lies = lies;
    }

    /// Limits the space for files, in bytes, counted by pages of 4,096; `None` for no limit. What
    /// is there already may take more.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Space taken by files that have a name or a handle, in bytes.
    pub fn used(&self) -> u64 {
        self.lock().used()
    }

    /// Files and folders that are still remembered, named or not; what a fork has to copy.
    pub fn nodes(&self) -> usize {
        self.lock().nodes.len()
    }

    /// Whether changing anything fails with EROFS. Syncs go on.
    pub fn set_read_only(&self, read_only: bool) {
        self.lock().read_only = read_only;
    }

    /// All files, by absolute path, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        let state = self.lock();
        let mut found = Vec::new();
        let mut folders = vec![(ROOT, PathBuf::from("/"))];
        while let Some((folder, path)) = folders.pop() {
            let names = state.folder(folder).map(|folder| folder.live.clone()).unwrap_or_default();
            for (name, ino) in &*names {
                let path = path.join(&**name);
                if state.folder(*ino).is_ok() { folders.push((*ino, path)) } else { found.push(path) }
            }
        }
        found.sort_unstable();
        found
    }

    /// What reads of the file see; `None` if there is no such file.
    pub fn read_all(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.lock();
        let content = state.find(path.as_ref()).and_then(|ino| Ok(state.file(ino)?.cache.clone())).ok()?;
        drop(state);
        Some(content.to_vec())
    }

    /// Whether changes of the file's content are waiting for a sync, or were lost by a failed one.
    /// Says nothing about its name. Panics if there is no such file.
    pub fn is_dirty(&self, path: impl AsRef<Path>) -> bool {
        let state = self.lock();
        let file = state.find(path.as_ref()).and_then(|ino| state.file(ino).map(|file| !file.is_clean()));
        file.unwrap_or_else(|errno| panic!("{}: no such file (errno {errno})", path.as_ref().display()))
    }

    /// Puts a file on the disk, durably and with its folders, in place of what was there. Panics
    /// if the path is a folder's.
    pub fn write_raw(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        let path = path.as_ref();
        let result = self.lock().plant(path, Content::of(bytes));
        result.unwrap_or_else(|errno| panic!("{}: cannot be a file (errno {errno})", path.display()));
    }

    /// Turns bit `bit` of byte `byte` on the disk and in what reads see. Panics if the file has no
    /// such byte.
    pub fn flip_bit(&self, path: impl AsRef<Path>, byte: u64, bit: u8) {
        self.damage(path.as_ref(), |file| {
            assert!(byte < file.cache.len(), "byte {byte} is beyond the end");
            file.damage(|content| {
                let mut value = [0];
                if content.read(&mut value, byte) == 1 {
                    content.write(&[value[0] ^ (1 << (bit % 8))], byte);
                }
            });
        });
    }

    /// Cuts the file to `len` bytes, on the disk and in what reads see. Panics if there is none.
    pub fn truncate_durable(&self, path: impl AsRef<Path>, len: u64) {
        self.damage(path.as_ref(), |file| {
            let mut content = file.cache.clone();
            content.set_len(len);
            *file = FileNode::durable(content);
        });
    }

    fn damage(&self, path: &Path, damage: impl FnOnce(&mut FileNode)) {
        let mut state = self.lock();
        let file = |state: &mut State| -> Result<(), Errno> {
            let ino = state.find(path)?;
            damage(state.file_mut(ino)?);
            Ok(())
        };
        file(&mut state).unwrap_or_else(|errno| panic!("{}: no such file (errno {errno})", path.display()));
    }
}
