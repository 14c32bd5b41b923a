//! Every instruction set against sums made one row at a time.

use super::*;
use proptest::prelude::*;

/// What `scan` should find, by looking up nibble after nibble.
fn by_rows(shape: &Shape, blocks: &[u8], tables: &[[u8; 16]]) -> Vec<[u16; ROWS]> {
    let sums = |block: &[u8]| {
        let mut sums = [0_u16; ROWS];
        for row in 0..ROWS {
            for (at, column) in shape.columns.clone().enumerate() {
                let byte = usize::from(block[column * ROWS + row]);
                let [low, high] = [tables[2 * at][byte & 15], tables[2 * at + 1][byte >> 4]];
                sums[lane_of(row)] += u16::from(low) + u16::from(high);
            }
        }
        sums
    };
    blocks.chunks_exact(shape.block_bytes).map(sums).collect()
}

fn check(shape: &Shape, blocks: &[u8], queries: &[Vec<[u8; 16]>], bars: &[u16]) {
    const SHIFTS: [u16; 6] = [0, 1, 6, 15, 16, 64];
    let count = blocks.len() / shape.block_bytes;
    // Every block, in any order; then every other one, on top of what is there, shifted.
    let all: Vec<u32> = (0..count as u32).rev().collect();
    let some: Vec<u32> = (0..count as u32).step_by(2).collect();
    for kernels in LookUps::all_available() {
        let mut sums = vec![vec![[0_u16; ROWS]; count]; queries.len()];
        // What was there before does not matter.
        let mut masks = vec![vec![u64::MAX; count]; queries.len()];
        for (round, places) in [&all, &some].into_iter().enumerate() {
            let mut looks: Vec<Look<'_>> = (queries.iter().zip(&mut sums).zip(&mut masks))
                .zip(SHIFTS.into_iter().cycle())
                .map(|(((tables, sums), masks), shift)| Look {
                    tables,
                    shift,
                    bars: &bars[..count],
                    sums,
                    masks,
                })
                .collect();
            kernels.scan(shape, blocks, places, &mut looks);
            let found = queries.iter().zip(&sums).zip(&masks).zip(SHIFTS.into_iter().cycle());
            for (((tables, sums), masks), shift) in found {
                let expected = by_rows(shape, blocks, tables);
                for block in 0..count {
                    let twice = round == 1 && block % 2 == 0;
                    let add = |sum: u16| {
                        if twice { sum.wrapping_add(sum.checked_shl(shift.into()).unwrap_or(0)) } else { sum }
                    };
                    let expected = expected[block].map(add);
                    assert_eq!(sums[block], expected, "{kernels:?}");
                    for (lane, sum) in expected.into_iter().enumerate() {
                        let (found, bar) = (masks[block] >> lane & 1 == 1, bars[block]);
                        assert_eq!(found, sum >= bar, "{kernels:?} lane {lane}: {sum}, {bar}");
                    }
                }
            }
        }
        for tables in queries {
            check_dense(kernels, shape, blocks, tables, bars, &some);
        }
    }
}

/// Some blocks, of which nothing else is told.
fn check_dense(
    kernels: LookUps,
    shape: &Shape,
    blocks: &[u8],
    tables: &[[u8; 16]],
    bars: &[u16],
    some: &[u32],
) {
    let bars: Vec<u16> = some.iter().map(|&place| bars[place as usize]).collect();
    let (mut sums, mut masks) = (vec![[7; ROWS]; some.len()], vec![u64::MAX; some.len()]);
    let look = Look { tables, shift: u16::BITS as u16, bars: &bars, sums: &mut sums, masks: &mut masks };
    kernels.scan(&Shape { dense: true, ..shape.clone() }, blocks, some, &mut [look]);
    let expected = by_rows(shape, blocks, tables);
    for (at, &place) in some.iter().enumerate() {
        assert_eq!(sums[at], expected[place as usize], "{kernels:?}");
        for (lane, sum) in sums[at].iter().enumerate() {
            assert_eq!(masks[at] >> lane & 1 == 1, *sum >= bars[at], "{kernels:?} lane {lane}");
        }
    }
}

#[test]
fn lanes_and_rows_are_each_others_inverse() {
    let mut seen = [false; ROWS];
    for row in 0..ROWS {
        assert_eq!(row_of(lane_of(row)), row);
        seen[lane_of(row)] = true;
    }
    assert_eq!(seen, [true; ROWS]);
}

#[test]
fn the_greatest_sums_do_not_overflow() {
    // 257 groups of 255 make 65,535; all of a group may come from one table, or from all four.
    for (columns, group) in
        [(514, [255, 0, 0, 0]), (514, [64, 64, 64, 63]), (513, [0, 0, 255, 0]), (1, [9, 246, 0, 0])]
    {
        let shape = Shape { columns: 0..columns, block_bytes: columns * ROWS, dense: false };
        let tables: Vec<[u8; 16]> = (0..2 * columns).map(|at| [group[at % GROUP_TABLES]; 16]).collect();
        let blocks: Vec<u8> = (0..3 * shape.block_bytes).map(|at| (at * 37 % 251) as u8).collect();
        for bar in [0, 1, 254, 255, 256, 32_767, 32_768, 65_279, 65_280, 65_535] {
            check(&shape, &blocks, std::slice::from_ref(&tables), &[bar; 3]);
        }
    }
}

#[test]
fn no_nibble_is_dropped_or_looked_up_elsewhere() {
    let shape = Shape { columns: 2..7, block_bytes: 8 * ROWS, dense: false };
    for at in 0..10 {
        for value in 0..16 {
            let mut tables = vec![[0; 16]; 10];
            tables[at][value] = 255;
            let blocks: Vec<u8> = (0..2 * shape.block_bytes).map(|at| (at * 173 % 256) as u8).collect();
            check(&shape, &blocks, &[tables.clone(), tables.clone(), tables], &[255; 2]);
        }
    }
}

#[test]
fn nothing_to_look_up_is_a_sum_of_nothing() {
    let shape = Shape { columns: 0..0, block_bytes: ROWS, dense: false };
    check(&shape, &[9; 2 * ROWS], &[Vec::new()], &[0, 1]);
    check(&Shape { columns: 0..1, block_bytes: ROWS, dense: false }, &[], &[vec![[1; 16]; 2]], &[]);
}

#[test]
fn wrong_lengths_are_refused() {
    // Shift, columns, bytes of a block, bytes, place, tables, bars, sums, masks.
    let cases: [(_, _, _, _, _, _, _, _, _); 9] = [
        (0, 0..2, ROWS, ROWS, 0, 4, 1, 1, 1),
        (0, 1..2, ROWS, ROWS, 0, 2, 1, 1, 1),
        (0, 0..0, 0, 0, 0, 0, 0, 0, 0),
        (0, 0..1, ROWS, ROWS + 1, 0, 2, 1, 1, 1),
        (0, 0..1, ROWS, ROWS, 1, 2, 1, 1, 1),
        (0, 0..1, ROWS, ROWS, 0, 3, 1, 1, 1),
        (0, 0..1, ROWS, ROWS, 0, 2, 0, 1, 1),
        (0, 0..1, ROWS, ROWS, 0, 2, 1, 2, 1),
        (0, 0..1, ROWS, ROWS, 0, 2, 1, 1, 0),
    ];
    for kernels in LookUps::all_available() {
        for (shift, columns, block_bytes, bytes, place, tables, bars, sums, masks) in cases.clone() {
            let refused = std::panic::catch_unwind(|| {
                let look = Look {
                    tables: &vec![[0; 16]; tables],
                    shift,
                    bars: &vec![0; bars],
                    sums: &mut vec![[0; ROWS]; sums],
                    masks: &mut vec![0; masks],
                };
                let shape = Shape { columns: columns.clone(), block_bytes, dense: false };
                kernels.scan(&shape, &vec![0; bytes], &[place], &mut [look]);
            });
            assert!(refused.is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn random_codes_have_the_same_sums_everywhere(
        columns in 0_usize..40, more in 0_usize..3, count in 0_usize..6, queries in 1_usize..10, seed in any::<u64>(),
    ) {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as u16
        };
        let block_bytes = (columns + 2 * more).max(1) * ROWS;
        let shape = Shape { columns: more..more + columns, block_bytes, dense: false };
        let blocks: Vec<u8> = (0..count * shape.block_bytes).map(|_| next() as u8).collect();
        let tables = |_| -> Vec<[u8; 16]> {
            (0..2 * columns).map(|_| std::array::from_fn(|_| (next() % 64) as u8)).collect()
        };
        let queries: Vec<_> = (0..queries).map(tables).collect();
        let bars: Vec<u16> = (0..count).map(|_| next() % (columns as u16 * 64 + 1)).collect();
        check(&shape, &blocks, &queries, &bars);
    }
}
