//! Which backups are kept, by their times alone.

use super::*;

const HOUR: u64 = 3_600_000_000;

/// A backup of every sixth hour, from a Monday on.
fn backups(count: u64) -> Vec<BackupManifest> {
    let monday = 1_767_571_200_000_000; // 2026-01-05T00:00:00Z
    let made = |number: u64| BackupManifest {
        id: number.to_string(),
        created_us: monday + number * 6 * HOUR,
        ..super::super::format::sample()
    };
    (0..count).map(made).collect()
}

fn kept_of(all: &[BackupManifest], retention: &Retention) -> Vec<usize> {
    let now = all.last().map_or(0, |backup| backup.created_us);
    let keeps = kept(all, retention, now);
    (0..all.len()).filter(|at| keeps[*at]).collect()
}

#[test]
fn each_rule_keeps_its_own_and_all_together_what_any_keeps() {
    let mut all = backups(4 * 16);
    let nothing = Retention::default();
    assert_eq!(kept_of(&all, &nothing), [63], "the newest stays whatever is said");
    assert_eq!(kept_of(&all, &Retention { last: 3, ..nothing.clone() }), [61, 62, 63]);
    assert_eq!(kept_of(&all, &Retention { max_age_us: Some(12 * HOUR), ..nothing.clone() }), [61, 62, 63]);
    // The last of each day.
    assert_eq!(kept_of(&all, &Retention { daily: 3, ..nothing.clone() }), [55, 59, 63]);
    // Weeks end with the fourth backup of a Sunday: the 28th, the 56th.
    assert_eq!(kept_of(&all, &Retention { weekly: 9, ..nothing.clone() }), [27, 55, 63]);
    assert_eq!(kept_of(&all, &Retention { monthly: 9, ..nothing.clone() }), [63]);
    all[5].name = Some("release".to_owned());
    let several = Retention { last: 1, daily: 2, weekly: 2, ..nothing };
    assert_eq!(kept_of(&all, &several), [5, 55, 59, 63]);
    assert!(kept_of(&[], &several).is_empty());
}
