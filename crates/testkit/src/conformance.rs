//! What the contract in `base::vfs` promises of any file system, as far as it shows without
//! pulling a plug. Each function panics where the promise is broken.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegraph_vector_base::vfs::{OpenMode, Vfs, VfsFile, publish, read_exact_at, read_file, temporary};
use codegraph_vector_base::{Error, ErrorKind};

/// Runs the whole suite; `make` gives a file system and a new, empty folder in it.
pub fn all(make: &dyn Fn() -> (Arc<dyn Vfs>, PathBuf)) {
    for (name, test) in TESTS {
        println!("conformance: {name}");
        let (vfs, folder) = make();
        test(&*vfs, &folder);
    }
}

type Test = fn(&dyn Vfs, &Path);

const TESTS: &[(&str, Test)] = &[
    ("read_after_write", read_after_write),
    ("handles_share_a_file", handles_share_a_file),
    ("growth_reads_zeros", growth_reads_zeros),
    ("short_reads_only_at_the_end", short_reads_only_at_the_end),
    ("set_len_cuts_and_grows", set_len_cuts_and_grows),
    ("allocate_grows_and_keeps", allocate_grows_and_keeps),
    ("create_truncates", create_truncates),
    ("what_is_missing_is_not_found", what_is_missing_is_not_found),
    ("read_mode_does_not_write", read_mode_does_not_write),
    ("rename_replaces", rename_replaces),
    ("a_link_is_the_same_file", a_link_is_the_same_file),
    ("removed_files_stay_usable", removed_files_stay_usable),
    ("list_is_sorted", list_is_sorted),
    ("folders_nest", folders_nest),
    ("empty_folders_go", empty_folders_go),
    ("lock_excludes", lock_excludes),
    ("lock_holds_a_note", lock_holds_a_note),
    ("map_is_the_content", map_is_the_content),
    ("publish_is_complete", publish_is_complete),
    ("failed_publish_changes_nothing", failed_publish_changes_nothing),
    ("boot_id_stays", boot_id_stays),
];

fn create(vfs: &dyn Vfs, path: &Path, bytes: &[u8]) -> Arc<dyn VfsFile> {
    let file = vfs.open(path, OpenMode::Create).unwrap();
    file.write_at(bytes, 0).unwrap();
    file
}

fn kind<T>(result: Result<T, Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn read_after_write(vfs: &dyn Vfs, folder: &Path) {
    let file = create(vfs, &folder.join("a"), b"hello world");
    file.write_at(b"WORLD", 6).unwrap();
    file.write_at(b"", 100).unwrap();
    assert_eq!(file.len().unwrap(), 11);
    assert!(!file.is_empty().unwrap());
    assert_eq!(read_file(vfs, &folder.join("a")).unwrap(), b"hello WORLD");
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    let large: Vec<u8> = (0..20_000_u32).map(|i| (i % 251) as u8).collect();
    file.write_at(&large, 4_090).unwrap();
    assert_eq!(read_exact_at(&*file, 4_090, large.len()).unwrap().unwrap(), large);
    assert_eq!(read_exact_at(&*file, 0, 12).unwrap().unwrap(), b"hello WORLD\0");
}

fn handles_share_a_file(vfs: &dyn Vfs, folder: &Path) {
    let one = create(vfs, &folder.join("a"), b"one");
    let other = vfs.open(&folder.join("a"), OpenMode::ReadWrite).unwrap();
    let reader = vfs.open(&folder.join("a"), OpenMode::Read).unwrap();
    other.write_at(b"two", 3).unwrap();
    assert_eq!(read_exact_at(&*one, 0, 6).unwrap().unwrap(), b"onetwo");
    assert_eq!(read_exact_at(&*reader, 0, 6).unwrap().unwrap(), b"onetwo");
}

fn growth_reads_zeros(vfs: &dyn Vfs, folder: &Path) {
    let file = create(vfs, &folder.join("a"), b"x");
    file.write_at(b"y", 10_000).unwrap();
    let bytes = read_file(vfs, &folder.join("a")).unwrap();
    assert_eq!(bytes.len(), 10_001);
    assert_eq!((bytes[0], bytes[10_000]), (b'x', b'y'));
    assert!(bytes[1..10_000].iter().all(|byte| *byte == 0));
}

fn short_reads_only_at_the_end(vfs: &dyn Vfs, folder: &Path) {
    let file = create(vfs, &folder.join("a"), &[7; 5_000]);
    let mut buf = [1; 4_096];
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 4_096);
    assert_eq!(file.read_at(&mut buf, 4_096).unwrap(), 904);
    assert_eq!(file.read_at(&mut buf, 5_000).unwrap(), 0);
    assert_eq!(file.read_at(&mut buf, 1 << 30).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 0).unwrap(), 0);
    assert_eq!(read_exact_at(&*file, 4_999, 1).unwrap().unwrap(), [7]);
    assert_eq!(read_exact_at(&*file, 5_000, 0).unwrap().unwrap(), []);
    assert!(read_exact_at(&*file, 4_999, 2).unwrap().is_none());
    assert!(read_exact_at(&*file, 5_001, 0).unwrap().is_none());
    assert!(read_exact_at(&*file, u64::MAX, 2).unwrap().is_none());
    assert!(read_exact_at(&*file, 0, usize::MAX).unwrap().is_none());
}

fn set_len_cuts_and_grows(vfs: &dyn Vfs, folder: &Path) {
    let file = create(vfs, &folder.join("a"), &[7; 5_000]);
    file.set_len(10).unwrap();
    assert_eq!(file.len().unwrap(), 10);
    file.set_len(6_000).unwrap();
    let bytes = read_file(vfs, &folder.join("a")).unwrap();
    assert_eq!(bytes.len(), 6_000);
    assert!(bytes[..10].iter().all(|byte| *byte == 7));
    assert!(bytes[10..].iter().all(|byte| *byte == 0));
    file.set_len(0).unwrap();
    assert!(file.is_empty().unwrap());
}

fn allocate_grows_and_keeps(vfs: &dyn Vfs, folder: &Path) {
    let file = create(vfs, &folder.join("a"), b"kept");
    file.allocate(2, 10_000).unwrap();
    let bytes = read_file(vfs, &folder.join("a")).unwrap();
    assert_eq!(bytes.len(), 10_002);
    assert_eq!(&bytes[..4], b"kept");
    assert!(bytes[4..].iter().all(|byte| *byte == 0));
    file.allocate(0, 100).unwrap();
    assert_eq!(file.len().unwrap(), 10_002, "a reservation never shrinks");
}

fn create_truncates(vfs: &dyn Vfs, folder: &Path) {
    let old = create(vfs, &folder.join("a"), b"old content");
    let new = vfs.open(&folder.join("a"), OpenMode::Create).unwrap();
    assert!(new.is_empty().unwrap());
    assert!(old.is_empty().unwrap(), "it is the same file");
    new.write_at(b"new", 0).unwrap();
    assert_eq!(read_file(vfs, &folder.join("a")).unwrap(), b"new");
}

fn what_is_missing_is_not_found(vfs: &dyn Vfs, folder: &Path) {
    let not_found = Some(ErrorKind::NotFound);
    let missing = folder.join("missing");
    assert_eq!(kind(vfs.open(&missing, OpenMode::Read)), not_found);
    assert_eq!(kind(vfs.open(&missing, OpenMode::ReadWrite)), not_found);
    assert_eq!(kind(vfs.open(&missing.join("a"), OpenMode::Create)), not_found);
    assert_eq!(kind(vfs.rename(&missing, &folder.join("b"))), not_found);
    assert_eq!(kind(vfs.remove_file(&missing)), not_found);
    assert_eq!(kind(vfs.list(&missing)), not_found);
    assert_eq!(kind(vfs.sync_dir(&missing)), not_found);
    assert_eq!(kind(vfs.try_lock(&missing.join("LOCK"))), not_found);
    assert_eq!(kind(read_file(vfs, &missing)), not_found);
    let error = vfs.open(&missing, OpenMode::Read).unwrap_err();
    assert_eq!(error.path(), Some(&*missing));
    assert!(!vfs.exists(&missing).unwrap());
    assert!(!vfs.exists(&missing.join("a")).unwrap());
    assert!(vfs.list(folder).unwrap().is_empty(), "nothing of this made a file");
}

fn read_mode_does_not_write(vfs: &dyn Vfs, folder: &Path) {
    drop(create(vfs, &folder.join("a"), b"content"));
    let file = vfs.open(&folder.join("a"), OpenMode::Read).unwrap();
    assert!(file.write_at(b"x", 0).is_err());
    assert!(file.set_len(0).is_err());
    assert!(file.allocate(0, 100).is_err());
    assert_eq!(read_file(vfs, &folder.join("a")).unwrap(), b"content");
}

fn rename_replaces(vfs: &dyn Vfs, folder: &Path) {
    let (a, b) = (folder.join("a"), folder.join("b"));
    let new = create(vfs, &a, b"new");
    let old = create(vfs, &b, b"old");
    vfs.rename(&a, &b).unwrap();
    assert_eq!(vfs.list(folder).unwrap(), ["b"]);
    assert_eq!(read_file(vfs, &b).unwrap(), b"new");
    assert_eq!(read_exact_at(&*old, 0, 3).unwrap().unwrap(), b"old", "a replaced file stays readable");
    new.write_at(b"NEW", 0).unwrap();
    assert_eq!(read_file(vfs, &b).unwrap(), b"NEW", "a handle follows its file");
    vfs.create_dir_all(&folder.join("other")).unwrap();
    vfs.rename(&b, &folder.join("other/c")).unwrap();
    assert!(!vfs.exists(&b).unwrap());
    assert_eq!(read_file(vfs, &folder.join("other/c")).unwrap(), b"NEW");
    vfs.rename(&folder.join("other/c"), &folder.join("other/c")).unwrap();
    assert!(vfs.exists(&folder.join("other/c")).unwrap());
    vfs.sync_dir(folder).unwrap();
}

fn a_link_is_the_same_file(vfs: &dyn Vfs, folder: &Path) {
    let (a, b) = (folder.join("a"), folder.join("other/b"));
    let file = create(vfs, &a, b"content");
    vfs.create_dir_all(&folder.join("other")).unwrap();
    vfs.hard_link(&a, &b).unwrap();
    assert_eq!(read_file(vfs, &b).unwrap(), b"content");
    file.write_at(b"C", 0).unwrap();
    assert_eq!(read_file(vfs, &b).unwrap(), b"Content");
    vfs.remove_file(&a).unwrap();
    assert!(!vfs.exists(&a).unwrap());
    assert_eq!(read_file(vfs, &b).unwrap(), b"Content", "the other name is still there");
    drop(create(vfs, &a, b"another"));
    assert_eq!(read_file(vfs, &b).unwrap(), b"Content");
    let taken = kind(vfs.hard_link(&a, &b));
    assert!(!matches!(taken, None | Some(ErrorKind::NotFound | ErrorKind::Unsupported)), "{taken:?}");
    assert_eq!(read_file(vfs, &b).unwrap(), b"Content", "nothing is replaced");
    let missing = folder.join("missing");
    let error = vfs.hard_link(&missing, &folder.join("c")).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::NotFound, Some(&*missing)));
    assert_eq!(vfs.list(folder).unwrap(), ["a", "other"]);
}

fn removed_files_stay_usable(vfs: &dyn Vfs, folder: &Path) {
    let path = folder.join("a");
    let file = create(vfs, &path, b"content");
    vfs.remove_file(&path).unwrap();
    assert!(!vfs.exists(&path).unwrap());
    file.write_at(b"!", 7).unwrap();
    file.sync_data().unwrap();
    drop(create(vfs, &path, b"another"));
    assert_eq!(read_exact_at(&*file, 0, 8).unwrap().unwrap(), b"content!");
    assert_eq!(read_file(vfs, &path).unwrap(), b"another");
}

fn list_is_sorted(vfs: &dyn Vfs, folder: &Path) {
    for name in ["c", "a", "B", "a.tmp", "10", "9"] {
        drop(create(vfs, &folder.join(name), b""));
    }
    vfs.create_dir_all(&folder.join("b")).unwrap();
    assert_eq!(vfs.list(folder).unwrap(), ["10", "9", "B", "a", "a.tmp", "b", "c"]);
    assert!(vfs.list(&folder.join("b")).unwrap().is_empty());
    assert!(vfs.list(&folder.join("a")).is_err(), "a file has no list");
}

fn folders_nest(vfs: &dyn Vfs, folder: &Path) {
    let deep = folder.join("x/y/z");
    vfs.create_dir_all(&deep).unwrap();
    vfs.create_dir_all(&deep).unwrap();
    vfs.create_dir_all(folder).unwrap();
    assert!(vfs.exists(&deep).unwrap());
    drop(create(vfs, &deep.join("a"), b"deep"));
    assert_eq!(read_file(vfs, &folder.join("x/y/z/a")).unwrap(), b"deep");
    assert_eq!(vfs.list(&folder.join("x")).unwrap(), ["y"]);
    assert!(vfs.create_dir_all(&deep.join("a")).is_err(), "a file is no folder");
    assert!(vfs.remove_file(&deep).is_err(), "a folder is no file");
    vfs.sync_dir(&deep).unwrap();
}

fn empty_folders_go(vfs: &dyn Vfs, folder: &Path) {
    let (outer, inner) = (folder.join("outer"), folder.join("outer/inner"));
    vfs.create_dir_all(&inner).unwrap();
    assert!(vfs.remove_dir(&outer).is_err(), "something is in it");
    create(vfs, &inner.join("file"), b"x");
    assert!(vfs.remove_dir(&inner.join("file")).is_err(), "a file is no folder");
    assert!(vfs.remove_dir(&inner).is_err(), "something is in it");
    // A folder may have another name by now.
    let renamed = folder.join("renamed");
    vfs.rename(&outer, &renamed).unwrap();
    vfs.remove_file(&renamed.join("inner/file")).unwrap();
    vfs.remove_dir(&renamed.join("inner")).unwrap();
    vfs.remove_dir(&renamed).unwrap();
    assert_eq!(vfs.list(folder).unwrap(), [""; 0]);
    assert_eq!(kind(vfs.remove_dir(&renamed)), Some(ErrorKind::NotFound));
}

fn lock_excludes(vfs: &dyn Vfs, folder: &Path) {
    let path = folder.join("LOCK");
    let held = vfs.try_lock(&path).unwrap().expect("nobody has it");
    assert!(vfs.exists(&path).unwrap());
    assert!(vfs.try_lock(&path).unwrap().is_none());
    let elsewhere = vfs.try_lock(&folder.join("OTHER")).unwrap();
    assert!(elsewhere.is_some(), "locks of other files are others");
    drop(held);
    let again = vfs.try_lock(&path).unwrap();
    assert!(again.is_some(), "dropping frees it");
    assert!(vfs.try_lock(&path).unwrap().is_none());
}

fn lock_holds_a_note(vfs: &dyn Vfs, folder: &Path) {
    let path = folder.join("LOCK");
    let held = vfs.try_lock(&path).unwrap().expect("nobody has it");
    held.file().write_at(b"note", 0).unwrap();
    assert_eq!(read_file(vfs, &path).unwrap(), b"note", "others can read it");
    drop(held);
    let held = vfs.try_lock(&path).unwrap().expect("nobody has it");
    assert_eq!(read_exact_at(held.file(), 0, 4).unwrap().unwrap(), b"note", "locking keeps the content");
}

fn map_is_the_content(vfs: &dyn Vfs, folder: &Path) {
    let path = folder.join("a");
    let bytes: Vec<u8> = (0..9_999_u32).map(|i| (i % 253) as u8).collect();
    drop(create(vfs, &path, &bytes));
    let map = vfs.open(&path, OpenMode::Read).unwrap().map().unwrap();
    assert_eq!(*map, *bytes);
    assert_eq!(map.as_ptr().align_offset(64), 0);
    vfs.remove_file(&path).unwrap();
    assert_eq!(*map, *bytes, "a map outlives the name");
    let empty = create(vfs, &path, b"");
    assert!(empty.map().unwrap().is_empty());
}

fn publish_is_complete(vfs: &dyn Vfs, folder: &Path) {
    let path = folder.join("MANIFEST");
    for content in [b"first".as_slice(), b"2nd"] {
        publish(vfs, &path, |file| file.write_at(content, 0)).unwrap();
        assert_eq!(read_file(vfs, &path).unwrap(), content);
        assert_eq!(vfs.list(folder).unwrap(), ["MANIFEST"]);
    }
    // What an earlier crash left under the temporary name does not show through.
    drop(create(vfs, &temporary(&path), &[9; 100]));
    publish(vfs, &path, |file| file.write_at(b"3", 0)).unwrap();
    assert_eq!(read_file(vfs, &path).unwrap(), b"3");
}

fn failed_publish_changes_nothing(vfs: &dyn Vfs, folder: &Path) {
    let path = folder.join("MANIFEST");
    publish(vfs, &path, |file| file.write_at(b"old", 0)).unwrap();
    let failed = publish(vfs, &path, |file| {
        file.write_at(b"new", 0)?;
        Err(Error::invalid("no"))
    });
    assert_eq!(kind(failed), Some(ErrorKind::InvalidInput));
    assert_eq!(vfs.list(folder).unwrap(), ["MANIFEST"]);
    assert_eq!(read_file(vfs, &path).unwrap(), b"old");
}

fn boot_id_stays(vfs: &dyn Vfs, _: &Path) {
    assert_eq!(vfs.boot_id(), vfs.boot_id());
}
