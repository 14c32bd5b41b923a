//! What is done to a graph once all rows are linked: none is left that no link leads to, and rows that are linked lie
//! near each other.

use super::Graph;

/// A graph of its own.
pub(super) struct Links {
    base: Vec<u32>,
    upper: Vec<u32>,
    counts: Vec<usize>,
}

impl Links {
    pub(super) fn graph(&self, m: usize) -> Graph<'_> {
        Graph { m, base: &self.base, upper: &self.upper, counts: &self.counts }
    }
}

/// For each row, the row from which links led to it first, from row 0 on; `None` where none does.
struct Reached {
    from: Vec<Option<u32>>,
}

impl Reached {
    /// Goes on from a row that is reached from another.
    fn go_on(&mut self, row: u32, from: u32, base: &[u32], degree: usize) {
        self.from[row as usize] = Some(from);
        let mut next = vec![row];
        while let Some(row) = next.pop() {
            for &link in links(base, degree, row) {
                if self.from[link as usize].is_none() {
                    self.from[link as usize] = Some(row);
                    next.push(link);
                }
            }
        }
    }
}

/// Links every row that row 0 does not lead to from one that it does lead to, as near as there is one with a link to
/// spare: among the rows that it is linked to itself, or below one of them in the tree of links that reach all.
pub(super) fn reach_all(base: &mut [u32], m: usize) {
    let degree = 2 * m;
    let rows = base.len() / degree;
    if rows == 0 {
        return;
    }
    let mut reached = Reached { from: vec![None; rows] };
    reached.go_on(0, 0, base, degree);
    for row in 0..rows as u32 {
        if reached.from[row as usize].is_some() {
            continue;
        }
        let near = links(base, degree, row).iter();
        let near = near.clone().chain(near.flat_map(|to| links(base, degree, *to)));
        let mut from = near.copied().find(|to| reached.from[*to as usize].is_some()).unwrap_or(0);
        // Which way down the tree is left to the digits of the row: rows that come to the same spread over it.
        let mut digits = row as usize;
        let at = loop {
            match spare(base, degree, from, &reached) {
                Some(at) => break at,
                // All of its links are needed: they lead down the tree.
                None => from = links(base, degree, from)[digits % degree],
            }
            digits /= degree;
        };
        base[from as usize * degree + at] = row;
        reached.go_on(row, from, base, degree);
    }
}

fn links(base: &[u32], degree: usize, row: u32) -> &[u32] {
    &base[row as usize * degree..][..degree]
}

/// The number of a link that leads nowhere, or else of the last one that is not needed to reach what it leads to.
fn spare(base: &[u32], degree: usize, row: u32, reached: &Reached) -> Option<usize> {
    let links = links(base, degree, row);
    let unneeded = |to: &u32| reached.from[*to as usize] != Some(row);
    links.iter().position(|to| *to == row).or_else(|| links.iter().rposition(unneeded))
}

/// The graph with its rows in another order, and the row at each place.
///
/// From `begun`, where the walk that linked a row came into the base, a tree is made: each row under one of a layer
/// above, which is nearest to it or nearly so. Rows follow each other as in this tree, but those of a layer before all
/// others still: so about *m* rows that are near each other share a page of memory, and so do those of such cells.
pub(super) fn near_together(graph: &Graph<'_>, begun: &[u32]) -> (Vec<u32>, Links) {
    let degree = 2 * graph.m;
    let mut order = down_the_tree(begun);
    // The layer that a row is in first, of those from the top.
    order.sort_by_key(|row| graph.counts.partition_point(|count| *count <= *row as usize));
    let mut places = vec![0; order.len()];
    for (place, row) in (0..).zip(&order) {
        places[*row as usize] = place;
    }
    let moved = |order: &[u32], from: &[u32], degree: usize| -> Vec<u32> {
        order.iter().flat_map(|row| links(from, degree, *row)).map(|to| places[*to as usize]).collect()
    };
    let base = moved(&order, graph.base, degree);
    let mut upper = Vec::with_capacity(graph.upper.len());
    for (layer, count) in graph.layers().zip(graph.counts) {
        upper.extend(moved(&order[..*count], layer, graph.m));
    }
    (order, Links { base, upper, counts: graph.counts.to_vec() })
}

/// Rows, each followed by those below it; none but row 0 is its own parent, and all others are after theirs.
fn down_the_tree(parents: &[u32]) -> Vec<u32> {
    let mut below: Vec<Vec<u32>> = vec![Vec::new(); parents.len()];
    for row in (1..parents.len()).rev() {
        below[parents[row] as usize].push(row as u32);
    }
    let mut order = Vec::with_capacity(parents.len());
    let mut next: Vec<u32> = (0..parents.len().min(1) as u32).collect();
    while let Some(row) = next.pop() {
        order.push(row);
        next.append(&mut below[row as usize]);
    }
    order
}
