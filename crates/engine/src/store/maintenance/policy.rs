//! Which segments are merged, and when: pure functions over their sizes.
//!
//! Three rules, in this order:
//! 1. **The store's dead share.** If dead rows take [`Limits::store_dead_percent`] of all segments or more, the segment with the
//!    greatest dead share is written anew, together with others of its size that have too many dead rows as well.
//! 2. **Tiers.** [`Limits::fanout`] segments whose live bytes differ by less than a factor of [`TIER_FACTOR`] become one.
//! 3. **A segment's dead share.** A segment of which [`Limits::dead_percent`] or more are dead is written anew.
//!
//! What they bound, for a store whose rows are updated, and whose maintenance keeps up (`policy_tests.rs` shows it by simulation):
//! - **Space.** Between merges dead rows take less than the store's share d: files take at most `1 / (1 − d)` of what is alive
//!   (1.25 for the 20 % of the default), and what is flushed while a merge runs. No merge is begun whose output would bring all
//!   files above [`PEAK_PERCENT`] of what is alive ([`FRESH_PEAK_PERCENT`] where next to nothing is dead), as long as
//!   dead rows can be got rid of by another. Of a store that is one single segment, a rewrite takes a peak of twice what
//!   is alive: as much is new in it as is dead in that segment. Only where rows are deleted and none come can it be more.
//! - **Write amplification**, bytes written to segments for each byte flushed, is at most
//!   `1 + log_g(S / F) + 1 / ln g + (1 − d) / d` for segments between F and S bytes and g = 1 + (fanout − 1) / [`TIER_FACTOR`]: a
//!   merge by tiers makes something at least g times as large of each byte's segment; a death makes segments smaller again,
//!   which costs at most 1 / ln g; and a rewrite writes at most (1 − d) / d bytes for each dead byte that it drops, of which
//!   there is one for each that was flushed. With the defaults, and flushes of a hundredth of the store, this is 10.5; 4 to 5
//!   is what the simulation finds.

/// Segments whose live bytes differ by less than this factor are of one tier.
pub(crate) const TIER_FACTOR: u64 = 4;
/// Files and the output of a merge together, in percent of what is alive: the log, and what is flushed meanwhile, come on top.
pub(crate) const PEAK_PERCENT: u64 = 180;
/// The same where dead rows take less than [`FRESH_DEAD_PERCENT`]: there a merge of all there is takes twice as much.
const FRESH_PEAK_PERCENT: u64 = 205;
const FRESH_DEAD_PERCENT: u64 = 5;

/// A segment, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Bytes of its file.
    pub(crate) bytes: u64,
    /// Rows in it, dead ones included.
    pub(crate) rows: u64,
    /// Dead rows.
    pub(crate) dead: u64,
    /// Only segments of one class are merged with each other.
    pub(crate) class: u8,
}

impl Size {
    /// Bytes that a merge of it alone would write, about.
    pub(crate) fn live_bytes(&self) -> u64 {
        let live = u128::from(self.rows.saturating_sub(self.dead));
        (u128::from(self.bytes) * live / u128::from(self.rows.max(1))) as u64
    }

    /// Bytes that it would give back, about.
    pub(crate) fn dead_bytes(&self) -> u64 {
        self.bytes - self.live_bytes()
    }

    fn live_rows(&self) -> u64 {
        self.rows.saturating_sub(self.dead)
    }

    fn is_dead_by(&self, percent: u64) -> bool {
        self.dead > 0 && u128::from(self.dead) * 100 >= u128::from(self.rows) * u128::from(percent)
    }
}

/// What the settings say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Segments of a tier that are merged.
    pub(crate) fanout: usize,
    /// See the module.
    pub(crate) dead_percent: u64,
    /// See the module.
    pub(crate) store_dead_percent: u64,
    /// Bytes that a merge of several segments writes at the most.
    pub(crate) max_bytes: u64,
    /// Rows of a segment at the most.
    pub(crate) max_rows: u64,
}

/// Why segments are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There are many of about the same size.
    Tier,
    /// Too much of them is dead.
    Dead,
}

/// The next merge: places in what was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) sources: Vec<usize>,
    pub(crate) reason: Reason,
}

/// What is due, all in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// Merges until nothing is due.
    pub(crate) merges: u64,
    /// Bytes that they write.
    pub(crate) work_bytes: u64,
    /// Bytes that are not as they should be: dead ones that are to go, and those of segments that are to become one.
    pub(crate) debt_bytes: u64,
    /// Bytes of live rows.
    pub(crate) live_bytes: u64,
}

impl Outlook {
    /// The debt in percent of what is alive; all that there can be if nothing is.
    pub(crate) fn debt_percent(&self) -> u64 {
        match (self.debt_bytes, self.live_bytes) {
            (0, _) => 0,
            (_, 0) => u64::MAX,
            (debt, live) => (u128::from(debt) * 100 / u128::from(live)) as u64,
        }
    }
}

/// The next merge that is due, if one is.
pub(crate) fn choose(segments: &[Size], limits: &Limits) -> Option<Choice> {
    let store = Store::of(segments, limits);
    store.dead_of_store().or_else(|| store.tier()).or_else(|| store.dead_segment())
}

/// The merge of at most `max` segments that does most: a part of what is due, or the smallest of a class, or one with dead
/// rows. None if there is nothing to gain.
pub(crate) fn choose_at_most(segments: &[Size], limits: &Limits, max: usize) -> Option<Choice> {
    if let Some(mut due) = choose(segments, limits) {
        // Sources come with the most worthwhile first. One of a tier alone gains nothing.
        due.sources.truncate(max);
        if due.sources.len() > 1 || due.reason == Reason::Dead {
            return Some(due);
        }
    }
    let store = Store::of(segments, limits);
    let smallest = store.classes().into_iter().filter_map(|class| {
        let sources = store.within_rows(class.into_iter().take(max));
        (sources.len() > 1).then_some(sources)
    });
    let output = |sources: &Vec<usize>| store.output(sources);
    if let Some(sources) = smallest.min_by_key(output) {
        return Some(Choice { sources, reason: Reason::Tier });
    }
    let most_dead = (0..segments.len()).max_by_key(|at| segments[*at].dead_bytes());
    let sources: Vec<usize> = most_dead.filter(|at| segments[*at].dead > 0).into_iter().collect();
    (!sources.is_empty() && max > 0).then_some(Choice { sources, reason: Reason::Dead })
}

/// What merges would do until nothing is due, if nothing came.
pub(crate) fn outlook(segments: &[Size], limits: &Limits) -> Outlook {
    let mut outlook =
        Outlook { live_bytes: segments.iter().map(Size::live_bytes).sum(), ..Outlook::default() };
    // Each with whether it is there now: what comes of a merge counts as work, but not as debt.
    let mut known: Vec<(Size, bool)> = segments.iter().map(|size| (*size, true)).collect();
    let most = 2 * segments.len() as u64;
    while outlook.merges < most {
        let sizes: Vec<Size> = known.iter().map(|(size, _)| *size).collect();
        let Some(choice) = choose(&sizes, limits) else { break };
        for at in &choice.sources {
            let (size, is_there) = known[*at];
            let due = if choice.reason == Reason::Tier { size.bytes } else { size.dead_bytes() };
            outlook.debt_bytes += if is_there { due } else { 0 };
        }
        let merged = merged(choice.sources.iter().map(|at| &sizes[*at]));
        outlook.merges += 1;
        outlook.work_bytes += merged.bytes;
        let mut at = 0;
        known.retain(|_| {
            at += 1;
            !choice.sources.contains(&(at - 1))
        });
        if merged.rows > 0 {
            known.push((merged, false));
        }
    }
    outlook
}

/// What a merge makes of segments, about.
pub(crate) fn merged<'a>(sources: impl Iterator<Item = &'a Size>) -> Size {
    let empty = Size { bytes: 0, rows: 0, dead: 0, class: 0 };
    sources.fold(empty, |sum, source| Size {
        bytes: sum.bytes + source.live_bytes(),
        rows: sum.rows + source.live_rows(),
        dead: 0,
        class: source.class,
    })
}

struct Store<'a> {
    segments: &'a [Size],
    limits: &'a Limits,
    /// Bytes of all files, and of what is alive in them.
    bytes: u64,
    live_bytes: u64,
}

impl<'a> Store<'a> {
    fn of(segments: &'a [Size], limits: &'a Limits) -> Self {
        let bytes = segments.iter().map(|size| size.bytes).sum();
        let live_bytes = segments.iter().map(Size::live_bytes).sum();
        Self { segments, limits, bytes, live_bytes }
    }

    fn output(&self, sources: &[usize]) -> u64 {
        sources.iter().map(|at| self.segments[*at].live_bytes()).sum()
    }

    /// Whether there is room for what a merge writes beside all that is there.
    fn has_room(&self, output: u64) -> bool {
        if output == 0 {
            return true;
        }
        let of_live = |percent| u128::from(self.live_bytes) * u128::from(percent);
        let is_fresh = u128::from(self.bytes) * 100 <= of_live(100 + FRESH_DEAD_PERCENT);
        let most = of_live(if is_fresh { FRESH_PEAK_PERCENT } else { PEAK_PERCENT });
        u128::from(self.bytes + output) * 100 <= most
    }

    /// Whether several segments may become one.
    fn may_be_one(&self, sources: &[usize]) -> bool {
        let rows: u64 = sources.iter().map(|at| self.segments[*at].live_rows()).sum();
        rows <= self.limits.max_rows && self.output(sources) <= self.limits.max_bytes
    }

    /// The first of these, as many as one segment may have rows of.
    fn within_rows(&self, places: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut rows = 0;
        places
            .take_while(|at| {
                rows += self.segments[*at].live_rows();
                rows <= self.limits.max_rows
            })
            .collect()
    }

    /// Places by class, the smallest first.
    fn classes(&self) -> Vec<Vec<usize>> {
        let mut places: Vec<usize> = (0..self.segments.len()).collect();
        places.sort_by_key(|at| (self.segments[*at].class, self.segments[*at].live_bytes()));
        places
            .chunk_by(|a, b| self.segments[*a].class == self.segments[*b].class)
            .map(<[_]>::to_vec)
            .collect()
    }

    fn dead_of_store(&self) -> Option<Choice> {
        let percent = self.limits.store_dead_percent;
        let dead_bytes = self.bytes - self.live_bytes;
        if dead_bytes == 0 || u128::from(dead_bytes) * 100 < u128::from(self.bytes) * u128::from(percent) {
            return None;
        }
        // By bytes a segment may be below the share that it has by rows, and the other way round; the greatest never is.
        let mut dead: Vec<usize> =
            (0..self.segments.len()).filter(|at| self.segments[*at].dead > 0).collect();
        let share = |at: &usize| {
            let size = self.segments[*at];
            u128::from(size.dead) * (1 << 32) / u128::from(size.rows)
        };
        dead.sort_by_key(|at| (std::cmp::Reverse(share(at)), self.segments[*at].live_bytes()));
        let is_dead = |at: &usize| self.segments[*at].is_dead_by(percent);
        let with_room = dead.iter().find(|at| is_dead(at) && self.has_room(self.output(&[**at])));
        let first = *with_room.or(dead.first())?;
        let mut sources = vec![first];
        for at in dead.into_iter().filter(|at| *at != first && is_dead(at)) {
            sources.push(at);
            if sources.len() > self.limits.fanout
                || !self.are_alike(&sources)
                || !self.may_be_one(&sources)
                || !self.has_room(self.output(&sources))
            {
                sources.pop();
            }
        }
        Some(Choice { sources, reason: Reason::Dead })
    }

    /// Whether segments are of one tier and class. What has no live rows fits everywhere.
    fn are_alike(&self, sources: &[usize]) -> bool {
        let class = self.segments[sources[0]].class;
        let live = || sources.iter().map(|at| self.segments[*at].live_bytes()).filter(|bytes| *bytes > 0);
        let (least, most) = (live().min().unwrap_or(0), live().max().unwrap_or(0));
        sources.iter().all(|at| self.segments[*at].class == class)
            && most <= least.saturating_mul(TIER_FACTOR)
    }

    fn tier(&self) -> Option<Choice> {
        self.classes().iter().find_map(|class| {
            let found = class.windows(self.limits.fanout).find(|tier| {
                let size = |at: Option<&usize>| at.map_or(0, |at| self.segments[*at].live_bytes());
                size(tier.last()) < size(tier.first()).saturating_mul(TIER_FACTOR)
                    && self.may_be_one(tier)
                    && self.has_room(self.output(tier))
            });
            found.map(|tier| Choice { sources: tier.to_vec(), reason: Reason::Tier })
        })
    }

    fn dead_segment(&self) -> Option<Choice> {
        let classes = self.classes();
        let mut places = classes.iter().flatten();
        let dead = places.find(|at| self.segments[**at].is_dead_by(self.limits.dead_percent))?;
        Some(Choice { sources: vec![*dead], reason: Reason::Dead })
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
