//! Guards against: a store that grows beyond what is alive in it, merges that take more room than there may be, merges that
//! write the same rows again and again, and merges that never come to an end.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits =
    Limits { fanout: 8, dead_percent: 30, store_dead_percent: 20, max_bytes: u64::MAX, max_rows: u64::MAX };
/// Bytes of a row.
const ROW_BYTES: u64 = 1_000;

fn size(rows: u64, dead: u64) -> Size {
    Size { bytes: rows * ROW_BYTES, rows, dead, class: 0 }
}

/// Which rows are updated.
#[derive(Clone, Copy, Debug)]
enum Load {
    /// Any.
    Uniform,
    /// Nine of ten times one of the first tenth.
    Hot,
    /// One after the other, in order.
    Round,
    /// Runs of so many: the nodes of a file.
    Files(u32),
}

const MEMORY: u32 = u32::MAX;

/// A merge at work.
struct Running {
    sources: Vec<u32>,
    /// The rows that were alive when it began, and how many of them are not written yet.
    rows: Vec<u32>,
    left: u64,
}

/// Segments as rows by number, and a disk that merges and flushes share.
struct Simulation {
    limits: Limits,
    flush_rows: usize,
    /// Rows that merges write for each that is flushed, while there is something to merge.
    speed: u64,
    /// The segment that a row is alive in.
    alive_in: Vec<u32>,
    memory: Vec<u32>,
    /// By number: rows, and how many of them are dead.
    segments: std::collections::BTreeMap<u32, (Vec<u32>, u64)>,
    next: u32,
    running: Option<Running>,
    flushed: u64,
    written: u64,
    peak: f64,
    between: f64,
    rng: u64,
}

impl Simulation {
    fn new(rows: u32, flush_rows: usize, speed: u64, limits: Limits) -> Self {
        let mut new = Self {
            limits,
            flush_rows,
            speed,
            alive_in: vec![MEMORY; rows as usize],
            memory: Vec::new(),
            segments: Default::default(),
            next: 0,
            running: None,
            flushed: 0,
            written: 0,
            peak: 0.0,
            between: 0.0,
            rng: 0x9e37_79b9_7f4a_7c15,
        };
        for row in 0..rows {
            new.memory.push(row);
            new.flush_if_full();
        }
        new.flush();
        new.drain();
        (new.flushed, new.written, new.peak, new.between) = (0, 0, 0.0, 0.0);
        new
    }

    fn random(&mut self, below: u32) -> u32 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        ((u128::from(self.rng) * u128::from(below)) >> 64) as u32
    }

    fn next_row(&mut self, load: Load, number: u64) -> u32 {
        let rows = self.alive_in.len() as u32;
        match load {
            Load::Uniform => self.random(rows),
            Load::Hot if self.random(10) > 0 => self.random(rows / 10),
            Load::Hot => self.random(rows),
            Load::Round => (number % u64::from(rows)) as u32,
            Load::Files(run) if number.is_multiple_of(u64::from(run)) => self.random(rows),
            Load::Files(_) => (self.memory.last().map_or(0, |last| last + 1)) % rows,
        }
    }

    fn update(&mut self, row: u32) {
        let was_in = std::mem::replace(&mut self.alive_in[row as usize], MEMORY);
        if was_in != MEMORY {
            self.segments.get_mut(&was_in).unwrap().1 += 1;
            self.memory.push(row);
            self.flush_if_full();
        }
    }

    fn flush_if_full(&mut self) {
        if self.memory.len() >= self.flush_rows {
            self.flush();
            self.work(self.flush_rows as u64 * self.speed);
            self.look();
        }
    }

    fn flush(&mut self) {
        let rows = std::mem::take(&mut self.memory);
        rows.iter().for_each(|row| self.alive_in[*row as usize] = self.next);
        self.flushed += rows.len() as u64;
        self.written += rows.len() as u64;
        self.segments.insert(self.next, (rows, 0));
        self.next += 1;
    }

    /// Merges for as long as it takes to write so many rows.
    fn work(&mut self, mut rows: u64) {
        while rows > 0 {
            if self.running.is_none() {
                let (numbers, sizes): (Vec<u32>, Vec<Size>) = self.sizes().into_iter().unzip();
                let Some(choice) = choose(&sizes, &self.limits) else { return };
                let sources: Vec<u32> = choice.sources.iter().map(|at| numbers[*at]).collect();
                let alive = |source: &u32, row: &&u32| self.alive_in[**row as usize] == *source;
                let rows_of = |source| self.segments[source].0.iter().filter(move |row| alive(source, row));
                let rows: Vec<u32> = sources.iter().flat_map(rows_of).copied().collect();
                self.running = Some(Running { sources, left: rows.len() as u64, rows });
            }
            let Some(Running { left, .. }) = &mut self.running else { return };
            let now = rows.min(*left);
            (rows, *left) = (rows - now, *left - now);
            if *left == 0 {
                self.end_merge();
            }
        }
    }

    fn end_merge(&mut self) {
        let Some(Running { sources, rows, .. }) = self.running.take() else { return };
        self.written += rows.len() as u64;
        self.peak = self.peak.max(self.ratio(rows.len() as u64));
        let died = rows.iter().filter(|row| !sources.contains(&self.alive_in[**row as usize])).count();
        for row in &rows {
            if sources.contains(&self.alive_in[*row as usize]) {
                self.alive_in[*row as usize] = self.next;
            }
        }
        sources.iter().for_each(|source| drop(self.segments.remove(source)));
        if !rows.is_empty() {
            self.segments.insert(self.next, (rows, died as u64));
        }
        self.next += 1;
        self.look();
    }

    /// All files, and so much beside them, by what is alive.
    fn ratio(&self, beside: u64) -> f64 {
        let (rows, dead) = self
            .segments
            .values()
            .fold((0, 0), |(rows, dead), segment| (rows + segment.0.len() as u64, dead + segment.1));
        (rows + beside) as f64 / (rows - dead + self.memory.len() as u64) as f64
    }

    fn look(&mut self) {
        self.between = self.between.max(self.ratio(0));
    }

    fn sizes(&self) -> Vec<(u32, Size)> {
        self.segments.iter().map(|(number, (rows, dead))| (*number, size(rows.len() as u64, *dead))).collect()
    }

    fn drain(&mut self) {
        self.work(u64::MAX);
    }

    fn amplification(&self) -> f64 {
        self.written as f64 / self.flushed as f64
    }

    /// The bound that is promised; see the module.
    fn bound(&self) -> f64 {
        let growth: f64 = 1.0 + (self.limits.fanout - 1) as f64 / TIER_FACTOR as f64;
        let tiers = (self.alive_in.len() as f64 / self.flush_rows as f64).ln() / growth.ln();
        let dead = self.limits.store_dead_percent as f64 / 100.0;
        1.0 + tiers.max(0.0) + 1.0 / growth.ln() + (1.0 - dead) / dead
    }
}

fn load() -> impl Strategy<Value = Load> {
    prop_oneof![Just(Load::Uniform), Just(Load::Hot), Just(Load::Round), (2_u32..200).prop_map(Load::Files)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Twenty times over, all rows of a store are updated, in different ways; about ten million updates in all.
    #[test]
    fn space_and_writes_are_bounded(
        load in load(),
        fanout in 4_usize..12,
        dead_percent in 20_u64..101,
        store_dead_percent in 10_u64..21,
        flush_rows in 100_usize..1_000,
        // Rows that merges write for each that is flushed: with fewer they do not keep up, and nothing is promised.
        speed in 8_u64..24,
    ) {
        const ROWS: u32 = 20_000;
        let limits = Limits { fanout, dead_percent, store_dead_percent, ..LIMITS };
        let mut sim = Simulation::new(ROWS, flush_rows, speed, limits);
        for number in 0..20 * u64::from(ROWS) {
            let row = sim.next_row(load, number);
            sim.update(row);
        }
        // While a merge runs, one row is flushed for each `speed` that it writes, which are less than there are.
        let at_rest = 100.0 / (100 - store_dead_percent) as f64;
        let meanwhile = PEAK_PERCENT as f64 / 100.0 / speed as f64 / 2.0 + 2.0 * flush_rows as f64 / f64::from(ROWS);
        prop_assert!(sim.between <= (at_rest + meanwhile).min(1.5), "{} between merges", sim.between);
        // The largest merge writes what is alive once, and what is flushed until it is done comes on top.
        let on_top = 1.0 / speed as f64 + flush_rows as f64 / f64::from(ROWS);
        let peak = (FRESH_PEAK_PERCENT as f64 / 100.0 + on_top).max(2.15);
        prop_assert!(sim.peak <= peak, "{} at the peak, of {peak}", sim.peak);
        prop_assert!(sim.amplification() <= sim.bound(), "amplified {} times", sim.amplification());
    }

    /// Whatever there is, merging comes to an end, and what was foreseen is what it takes.
    #[test]
    fn merging_ends_as_foreseen(
        rows in prop::collection::vec((1_u64..100_000, 0_u64..101, 0_u8..3), 0..60),
        fanout in 2_usize..9,
        max_bytes in prop_oneof![Just(u64::MAX), 1_000_000_u64..1_000_000_000],
    ) {
        let limits = Limits { fanout, max_bytes, ..LIMITS };
        let mut sizes: Vec<Size> = rows
            .iter()
            .map(|(rows, dead, class)| Size { class: *class, ..size(*rows, rows * dead / 100) })
            .collect();
        let foreseen = outlook(&sizes, &limits);
        let (mut merges, mut written) = (0, 0);
        while let Some(choice) = choose(&sizes, &limits) {
            prop_assert!(!choice.sources.is_empty() && choice.sources.is_sorted_by(|a, b| a != b));
            let class = sizes[choice.sources[0]].class;
            prop_assert!(choice.sources.iter().all(|at| sizes[*at].class == class));
            let out = merged(choice.sources.iter().map(|at| &sizes[*at]));
            prop_assert!(choice.sources.len() == 1 || out.bytes <= max_bytes);
            merges += 1;
            written += out.bytes;
            prop_assert!(merges <= 2 * rows.len() as u64, "it does not end");
            let mut at = 0;
            sizes.retain(|_| { at += 1; !choice.sources.contains(&(at - 1)) });
            if out.rows > 0 {
                sizes.push(out);
            }
        }
        prop_assert_eq!((foreseen.merges, foreseen.work_bytes), (merges, written));
        prop_assert_eq!(foreseen.debt_bytes == 0, merges == 0);
        prop_assert!(sizes.iter().all(|size| !size.is_dead_by(limits.dead_percent)));
        let rest = outlook(&sizes, &limits);
        prop_assert_eq!((rest.merges, rest.debt_percent()), (0, 0));
    }

    #[test]
    fn by_hand_no_more_are_merged_than_was_said(
        rows in prop::collection::vec((1_u64..100_000, 0_u64..101, 0_u8..2), 0..20),
        max in 1_usize..10,
    ) {
        let sizes: Vec<Size> = rows
            .iter()
            .map(|(rows, dead, class)| Size { class: *class, ..size(*rows, rows * dead / 100) })
            .collect();
        let Some(choice) = choose_at_most(&sizes, &LIMITS, max) else {
            let alone = |size: &&Size| sizes.iter().filter(|other| other.class == size.class).count() == 1;
            prop_assert!(max == 1 || sizes.iter().all(|size| alone(&size)));
            prop_assert!(sizes.iter().all(|size| size.dead == 0), "dead rows were left");
            return Ok(());
        };
        prop_assert!((1..=max).contains(&choice.sources.len()));
        let gains = choice.sources.len() > 1 || sizes[choice.sources[0]].dead > 0;
        prop_assert!(gains, "{choice:?} gains nothing");
    }
}

#[test]
fn segments_of_a_tier_are_merged_and_others_are_not() {
    let eight: Vec<Size> = (0..8).map(|at| size(100 + at, 0)).collect();
    let choice = choose(&eight, &LIMITS).unwrap();
    assert_eq!((choice.sources, choice.reason), ((0..8).collect(), Reason::Tier));
    assert_eq!(choose(&eight[..7], &LIMITS), None);
    let mut one_is_large = eight.clone();
    one_is_large[3] = size(401, 0);
    assert_eq!(choose(&one_is_large, &LIMITS), None);
    assert_eq!(choose(&eight, &Limits { max_bytes: 800 * ROW_BYTES, ..LIMITS }), None);
    assert_eq!(choose(&eight, &Limits { max_rows: 800, ..LIMITS }), None);
}

#[test]
fn dead_rows_of_the_whole_store_are_enough() {
    // Each of them is below the share of one segment.
    let sizes = [size(1_000, 250), size(5_000, 1_100), size(9_000, 1_900)];
    let choice = choose(&sizes, &LIMITS).unwrap();
    assert_eq!((choice.sources, choice.reason), (vec![0], Reason::Dead));
    let fewer = [size(1_000, 250), size(5_000, 1_100), size(9_000, 1_500)];
    assert_eq!(choose(&fewer, &LIMITS), None);
    // Those of one size go together.
    let alike = [size(1_000, 300), size(1_100, 290), size(20_000, 4_200)];
    assert_eq!(choose(&alike, &LIMITS).unwrap().sources, [0, 1]);
}

#[test]
fn a_segment_without_live_rows_goes_at_once() {
    let sizes = [size(10, 10), size(100_000, 0)];
    assert_eq!(choose(&sizes, &LIMITS).unwrap(), Choice { sources: vec![0], reason: Reason::Dead });
    let all_dead = [size(10, 10), size(20, 20)];
    let outlook = outlook(&all_dead, &LIMITS);
    assert_eq!((outlook.merges, outlook.work_bytes, outlook.debt_percent()), (1, 0, u64::MAX));
}

#[test]
fn a_merge_for_which_there_is_no_room_waits() {
    // Of what is alive, a tenth is dead on top, and the tier is nearly all there is.
    let mut sizes: Vec<Size> = (0..8).map(|_| size(1_000, 0)).collect();
    sizes.push(size(3_000, 880));
    assert_eq!(choose(&sizes, &LIMITS), None);
    assert_eq!(choose(&sizes[..8], &LIMITS).unwrap().sources.len(), 8, "nothing is dead");
    sizes[8] = size(3_000, 0);
    assert_eq!(choose(&sizes, &LIMITS).unwrap().sources.len(), 8);
}
