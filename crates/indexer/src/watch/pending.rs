//! What was told to have changed and was not indexed yet, and when it is to be.

use std::time::Duration;

use crate::index::Paths;

/// Changes are indexed after so long without another one,
pub(crate) const QUIET: Duration = Duration::from_millis(300);
/// and so long after the first of them at the latest.
pub(crate) const AT_MOST: Duration = Duration::from_secs(2);
/// More paths than this are not kept apart: then everything is looked at.
const MAX_PATHS: usize = 200;

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A file or folder, by its path below the root, and whatever is below it.
    Path(String),
    /// Nobody knows what.
    Everything,
}

/// What changed since it was taken last.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    paths: Paths,
    everything: bool,
    /// When the first and the last change were told.
    told: Option<(Duration, Duration)>,
}

impl Pending {
    /// Adds a change that was told now.
    pub(crate) fn note(&mut self, change: Change, now: Duration) {
        let (first, _) = self.told.unwrap_or((now, now));
        self.told = Some((first, now));
        match change {
            Change::Path(path) if !self.everything => self.paths.insert(path),
            Change::Path(_) => {}
            Change::Everything => self.everything = true,
        }
        if self.everything || self.paths.len() > MAX_PATHS || self.paths.covers("") {
            self.paths = Paths::default();
            self.everything = true;
        }
    }

    /// When it is to be indexed. `None` if there is nothing.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.told.map(|(first, last)| (last + QUIET).min(first + AT_MOST))
    }

    /// Takes it all: these paths; `None` is everything.
    pub(crate) fn take(&mut self) -> Option<Paths> {
        let Self { paths, everything, .. } = std::mem::take(self);
        if everything { None } else { Some(paths) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn path(path: &str) -> Change {
        Change::Path(path.to_owned())
    }

    fn taken(pending: &mut Pending) -> Vec<String> {
        pending.take().expect("some paths").iter().map(str::to_owned).collect()
    }

    #[test]
    fn changes_wait_for_quiet_but_not_for_ever() {
        let mut pending = Pending::default();
        assert_eq!(pending.due(), None);
        pending.note(path("a.rs"), ms(1000));
        assert_eq!(pending.due(), Some(ms(1300)));
        pending.note(path("b/c.rs"), ms(1200));
        assert_eq!(pending.due(), Some(ms(1500)));
        for at in 6..40 {
            pending.note(path("a.rs"), ms(200 * at));
        }
        assert_eq!(pending.due(), Some(ms(3000)), "two seconds after the first");
        assert_eq!(taken(&mut pending), ["a.rs", "b/c.rs"]);
        assert_eq!(pending.due(), None);
        pending.note(path("d.rs"), ms(9000));
        assert_eq!((pending.due(), taken(&mut pending)), (Some(ms(9300)), vec!["d.rs".to_owned()]));
    }

    #[test]
    fn what_is_within_a_folder_that_changed_goes_with_it() {
        let mut pending = Pending::default();
        for told in ["a/b.rs", "a/c/d.rs", "a", "a/e.rs", "ab.rs"] {
            pending.note(path(told), ms(0));
        }
        assert_eq!(taken(&mut pending), ["a", "ab.rs"]);
    }

    #[test]
    fn too_much_or_the_unknown_is_everything() {
        let mut many = Pending::default();
        (0..=MAX_PATHS).for_each(|at| many.note(path(&format!("{at}.rs")), ms(at as u64)));
        let mut root = Pending::default();
        root.note(path(""), ms(0));
        let mut unknown = Pending::default();
        unknown.note(path("a.rs"), ms(0));
        unknown.note(Change::Everything, ms(100));
        unknown.note(path("b.rs"), ms(150));
        assert_eq!(unknown.due(), Some(ms(450)));
        for mut pending in [many, root, unknown] {
            assert_eq!(pending.take(), None);
            assert_eq!(pending.due(), None);
            pending.note(path("c.rs"), ms(0));
            assert_eq!(taken(&mut pending), ["c.rs"], "it is no longer everything");
        }
        let mut most = Pending::default();
        (0..MAX_PATHS).for_each(|at| most.note(path(&format!("{at}.rs")), ms(0)));
        assert_eq!(taken(&mut most).len(), MAX_PATHS);
    }
}
