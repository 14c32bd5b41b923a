//! Points in groups, component by component: what the search for the nearest centroid takes.

use crate::kernels::{GROUP, Group, Kernels};

/// Points of one dimension. Behind the last one, up to a whole group, are zeros.
pub(crate) struct Points {
    dim: usize,
    len: usize,
    groups: Vec<Group>,
}

impl Points {
    /// `len` points, of which `row` tells the components by number, those it leaves out at the end being zeros.
    pub(crate) fn new<'a>(dim: usize, len: usize, row: impl Fn(usize) -> &'a [f32]) -> Self {
        let mut groups = vec![[0.0; GROUP]; len.div_ceil(GROUP) * dim];
        for at in 0..len {
            set(&mut groups[at / GROUP * dim..][..dim], at % GROUP, row(at));
        }
        Self { dim, len, groups }
    }

    /// `len` points, given in blocks of whole groups, the last as long as it must be; in a block component by component.
    pub(crate) fn of_components<'a>(dim: usize, len: usize, blocks: impl Iterator<Item = &'a [f32]>) -> Self {
        let mut groups = Vec::with_capacity(len.div_ceil(GROUP) * dim);
        for block in blocks {
            let held = block.len() / dim;
            for first in (0..held).step_by(GROUP) {
                groups.extend(block.chunks_exact(held).map(|component| {
                    let mut lanes = [0.0; GROUP];
                    let given = &component[first..held.min(first + GROUP)];
                    lanes[..given.len()].copy_from_slice(given);
                    lanes
                }));
            }
        }
        Self { dim, len, groups }
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The groups, each one entry a component.
    pub(crate) fn groups(&self) -> impl ExactSizeIterator<Item = &[Group]> {
        self.groups.chunks_exact(self.dim)
    }

    /// The groups of the points from `first` on, which begins a group.
    pub(crate) fn groups_from(&self, first: usize, len: usize) -> &[Group] {
        &self.groups[first / GROUP * self.dim..][..len.div_ceil(GROUP) * self.dim]
    }

    /// Component by component.
    pub(crate) fn point(&self, at: usize) -> impl Iterator<Item = f32> {
        self.groups[at / GROUP * self.dim..][..self.dim].iter().map(move |component| component[at % GROUP])
    }

    /// Those points alone, in that order.
    pub(crate) fn select(&self, chosen: &[usize]) -> Self {
        let mut groups = vec![[0.0; GROUP]; chosen.len().div_ceil(GROUP) * self.dim];
        for (place, &at) in chosen.iter().enumerate() {
            let group = &mut groups[place / GROUP * self.dim..][..self.dim];
            group.iter_mut().zip(self.point(at)).for_each(|(component, x)| component[place % GROUP] = x);
        }
        Self { dim: self.dim, len: chosen.len(), groups }
    }
}

/// Makes `row`, and zeros behind it, the point in one lane of a group.
pub(crate) fn set(group: &mut [Group], lane: usize, row: &[f32]) {
    let (given, rest) = group.split_at_mut(row.len());
    given.iter_mut().zip(row).for_each(|(component, x)| component[lane] = *x);
    rest.iter_mut().for_each(|component| component[lane] = 0.0);
}

/// Half the squared norm of each centroid, as [`Kernels::nearest`] takes them.
pub(crate) fn half_norms(centroids: &[f32], dim: usize) -> Vec<f32> {
    centroids.chunks_exact(dim).map(|centroid| centroid.iter().map(|x| x * x).sum::<f32>() / 2.0).collect()
}

/// For each of some points: the number of the nearest centroid and its squared distance.
pub(crate) fn nearest(
    groups: &[Group],
    len: usize,
    dim: usize,
    centroids: &[f32],
    half_norms: &[f32],
) -> Vec<(u32, f32)> {
    let kernels = Kernels::best();
    let mut found = Vec::with_capacity(len);
    for group in groups.chunks_exact(dim) {
        let nearest = kernels.nearest(group, centroids, half_norms);
        let mut norms = [0.0_f32; GROUP];
        for component in group {
            norms.iter_mut().zip(component).for_each(|(norm, x)| *norm += x * x);
        }
        let lanes = nearest.index.iter().zip(nearest.score).zip(norms);
        let lanes = lanes.map(|((index, score), norm)| (*index, (norm + 2.0 * score).max(0.0)));
        found.extend(lanes.take(len - found.len()));
    }
    found
}
