//! Which events say what is to be looked at.

use notify::event::{
    AccessKind, AccessMode, CreateKind, DataChange, Flag, MetadataKind, ModifyKind, RemoveKind, RenameMode,
};

use super::*;

const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
const RENAMED: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::Both));

fn changes(kind: EventKind, paths: &[&str]) -> Vec<Change> {
    let place = Place { root: "/code".into(), store: "/code/stores/s".into() };
    let event = paths.iter().fold(Event::new(kind), |event, path| event.add_path(path.into()));
    place.changes(&event)
}

fn paths(paths: &[&str]) -> Vec<Change> {
    paths.iter().map(|path| Change::Path((*path).to_owned())).collect()
}

#[test]
fn source_files_are_told_by_their_paths() {
    for kind in [
        WRITTEN,
        EventKind::Create(CreateKind::File),
        EventKind::Remove(RemoveKind::File),
        EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
        EventKind::Any,
    ] {
        assert_eq!(changes(kind, &["/code/src/a.rs"]), paths(&["src/a.rs"]), "{kind:?}");
    }
    assert_eq!(changes(RENAMED, &["/code/a.rs", "/code/b/a.rs"]), paths(&["a.rs", "b/a.rs"]));
}

#[test]
fn files_of_other_kinds_and_reading_are_passed_over() {
    for kind in [WRITTEN, EventKind::Create(CreateKind::File), EventKind::Remove(RemoveKind::File)] {
        assert_eq!(changes(kind, &["/code/notes.txt", "/code/log"]), []);
    }
    for kind in [AccessKind::Read, AccessKind::Open(AccessMode::Any), AccessKind::Close(AccessMode::Write)] {
        assert_eq!(changes(EventKind::Access(kind), &["/code/a.rs"]), []);
    }
}

#[test]
fn folders_are_told_whatever_their_names() {
    let folder = &["/code/src/deep"];
    for kind in [EventKind::Create(CreateKind::Folder), EventKind::Remove(RemoveKind::Folder), RENAMED] {
        assert_eq!(changes(kind, folder), paths(&["src/deep"]), "{kind:?}");
    }
    assert_eq!(changes(EventKind::Remove(RemoveKind::Folder), &["/code"]), paths(&[""]));
}

#[test]
fn what_is_hidden_or_of_the_store_is_not_heard() {
    for path in [
        "/code/.git/index",
        "/code/.cgv/wal/1.wal",
        "/code/.hidden.rs",
        "/code/a/.b/c.rs",
        "/code/.git/.gitignore",
        "/code/stores/s",
        "/code/stores/s/wal/a.rs",
        "/elsewhere/a.rs",
    ] {
        for kind in [WRITTEN, RENAMED, EventKind::Create(CreateKind::Folder)] {
            assert_eq!(changes(kind, &[path]), [], "{path}");
        }
    }
    assert_eq!(changes(WRITTEN, &["/code/stores/s2/a.rs"]), paths(&["stores/s2/a.rs"]));
}

#[test]
fn rules_of_what_is_ignored_and_lost_events_are_everything() {
    for path in ["/code/.gitignore", "/code/a/b/.gitignore", "/code/a/.ignore"] {
        for kind in [WRITTEN, RENAMED, EventKind::Remove(RemoveKind::File)] {
            assert_eq!(changes(kind, &[path]), [Change::Everything], "{path}");
        }
    }
    let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
    let place = Place { root: "/code".into(), store: "/s".into() };
    assert_eq!(place.changes(&lost), [Change::Everything]);
}

#[cfg(unix)]
#[test]
fn a_name_that_cannot_be_told_is_told_by_its_folder() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let place = Place { root: "/code".into(), store: "/s".into() };
    for name in [&b"odd\xff.rs"[..], b"odd\xff"] {
        let path = Path::new("/code/a/b").join(OsStr::from_bytes(name));
        assert_eq!(place.changes(&Event::new(WRITTEN).add_path(path)), paths(&["a/b"]));
    }
}

#[test]
fn a_limit_of_the_system_is_told_by_its_name() {
    let error = failure(Path::new("/code"), notify::Error::new(notify::ErrorKind::MaxFilesWatch));
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("fs.inotify.max_user_watches"), "{error}");
    assert!(is_gone(&notify::Error::path_not_found()));
    assert!(is_gone(&notify::Error::io(io::ErrorKind::NotFound.into())));
    assert!(!is_gone(&notify::Error::io(io::ErrorKind::PermissionDenied.into())));
}
