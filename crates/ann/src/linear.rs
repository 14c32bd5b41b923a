//! Linear algebra of the codecs and indexes: means, covariances, eigenvectors, rotations of many rows at once.
//!
//! Matrices are row-major slices, as everywhere in this crate. What always holds: results do not depend on the number
//! of threads, and a row is multiplied to the same bits alone and among others.

use std::sync::atomic::{AtomicUsize, Ordering};

use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut, Dyn};

/// A view of a row-major matrix: nalgebra's own are column-major.
fn view(data: &[f32], rows: usize, columns: usize) -> DMatrixView<'_, f32, Dyn, Dyn> {
    DMatrixView::from_slice_with_strides(data, rows, columns, columns, 1)
}

/// Smaller matrices nalgebra multiplies in another way, which rounds in another way, and which reads past the end of
/// views whose rows lie together (0.35.0).
const LEAST: usize = 8;

/// Rows that are worked on at once: they and what becomes of them fit a cache.
pub(crate) const BLOCK: usize = 128;

/// Does `work` for 0, 1, … `count - 1` on so many threads. The results are in this order.
pub(crate) fn in_parallel<T: Send>(threads: usize, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    if threads <= 1 || count <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return done;
            }
            done.push((at, work(at)));
        }
    };
    let mut all: Vec<(usize, T)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(take)).collect();
        let mut all = take();
        for other in others {
            all.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, result)| result).collect()
}

/// The mean of rows.
pub(crate) fn mean(rows: &[f32], dim: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; dim];
    for row in rows.chunks_exact(dim) {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum += f64::from(*x);
        }
    }
    let count = (rows.len() / dim).max(1) as f64;
    sums.iter().map(|sum| (sum / count) as f32).collect()
}

/// The covariance of rows about `mean`, `dim` × `dim`.
pub(crate) fn covariance(rows: &[f32], mean: &[f32], threads: usize) -> Vec<f64> {
    /// Rows whose products are summed in f32 before they are added up in f64.
    const PIECE: usize = 2048;
    /// Pieces that are held at a time; more would be memory without use.
    const AT_ONCE: usize = 8;
    let dim = mean.len();
    let mut sum = vec![0.0_f64; dim * dim];
    for pieces in rows.chunks(PIECE * AT_ONCE * dim) {
        let pieces: Vec<&[f32]> = pieces.chunks(PIECE * dim).collect();
        let products = in_parallel(threads, pieces.len(), |at| {
            let mut centred = pieces[at].to_vec();
            subtract(&mut centred, mean);
            if dim < LEAST {
                return small_covariance(&centred, dim);
            }
            centred.resize(centred.len().max(LEAST * dim), 0.0);
            // Both factors are views of the same matrix, whose rows are the columns of nalgebra's view.
            let columns = DMatrixView::from_slice(&centred, dim, centred.len() / dim);
            let mut product = DMatrix::zeros(dim, dim);
            product.gemm(1.0, &columns, &view(&centred, centred.len() / dim, dim), 0.0);
            product.as_slice().to_vec()
        });
        for product in products {
            sum.iter_mut().zip(&product).for_each(|(sum, x)| *sum += f64::from(*x));
        }
    }
    let count = (rows.len() / dim).max(1) as f64;
    sum.iter_mut().for_each(|x| *x /= count);
    sum
}

fn small_covariance(centred: &[f32], dim: usize) -> Vec<f32> {
    let mut product = vec![0.0; dim * dim];
    for row in centred.chunks_exact(dim) {
        for (sums, a) in product.chunks_exact_mut(dim).zip(row) {
            sums.iter_mut().zip(row).for_each(|(sum, b)| *sum += a * b);
        }
    }
    product
}

/// Subtracts `mean` from every row.
pub(crate) fn subtract(rows: &mut [f32], mean: &[f32]) {
    for row in rows.chunks_exact_mut(mean.len()) {
        row.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean);
    }
}

/// Eigenvalues of a symmetric matrix, the greatest first, and their eigenvectors, one a row.
///
/// An eigenvector may be turned about: here its component of the greatest size, the first of them, is positive.
pub(crate) fn eigen(matrix: &[f64], dim: usize) -> (Vec<f64>, Vec<f32>) {
    let eigen = DMatrix::from_column_slice(dim, dim, matrix).symmetric_eigen();
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]).then(a.cmp(&b)));
    let values = order.iter().map(|&at| eigen.eigenvalues[at]).collect();
    let mut vectors = Vec::with_capacity(dim * dim);
    for &at in &order {
        let vector = eigen.eigenvectors.column(at);
        let greatest = vector.iter().fold(0.0_f64, |most, x| if x.abs() > most.abs() { *x } else { most });
        vectors.extend(vector.iter().map(|x| (x * greatest.signum()) as f32));
    }
    (values, vectors)
}

/// Products of rows with the rows of a matrix: `products[c][r] = rows[r] · matrix[c]`, the products of one row of the
/// matrix lying together.
///
/// # Panics
/// If the lengths do not fit.
pub(crate) fn products_by_column(rows: &[f32], matrix: &[f32], dim: usize, products: &mut [f32]) {
    let (count, columns) = (rows.len() / dim, matrix.len() / dim);
    assert!(rows.len() == count * dim && products.len() == count * columns, "rows, matrix and products");
    if dim < LEAST || columns < LEAST {
        for (products, axis) in products.chunks_exact_mut(count.max(1)).zip(matrix.chunks_exact(dim)) {
            for (product, row) in products.iter_mut().zip(rows.chunks_exact(dim)) {
                *product = row.iter().zip(axis).map(|(a, b)| a * b).sum();
            }
        }
        return;
    }
    if count < LEAST {
        let mut more = rows.to_vec();
        more.resize(LEAST * dim, 0.0);
        let mut most = vec![0.0; LEAST * columns];
        products_by_column(&more, matrix, dim, &mut most);
        for (products, most) in products.chunks_exact_mut(count.max(1)).zip(most.chunks_exact(LEAST)) {
            products.copy_from_slice(&most[..count]);
        }
        return;
    }
    // Column-major, `count` × `columns`.
    let mut out = DMatrixViewMut::from_slice(products, count, columns);
    let matrix = DMatrixView::from_slice(matrix, dim, columns);
    out.gemm(1.0, &view(rows, count, dim), &matrix, 0.0);
}

/// The other way round: `rows[r] = Σ weights[c][r] × matrix[c]`, the weights of one row of the matrix lying together.
///
/// # Panics
/// If the lengths do not fit.
pub(crate) fn weighted_sums(weights: &[f32], matrix: &[f32], dim: usize, rows: &mut [f32]) {
    let (count, columns) = (rows.len() / dim, matrix.len() / dim);
    assert!(rows.len() == count * dim && weights.len() == count * columns, "weights, matrix and rows");
    if dim < LEAST || columns < LEAST {
        rows.fill(0.0);
        for (weights, axis) in weights.chunks_exact(count.max(1)).zip(matrix.chunks_exact(dim)) {
            for (row, weight) in rows.chunks_exact_mut(dim).zip(weights) {
                row.iter_mut().zip(axis).for_each(|(x, axis)| *x += weight * axis);
            }
        }
        return;
    }
    if count < LEAST {
        let mut more = Vec::with_capacity(LEAST * columns);
        for weights in weights.chunks_exact(count.max(1)) {
            more.extend_from_slice(weights);
            more.resize(more.len() + LEAST - count, 0.0);
        }
        let mut most = vec![0.0; LEAST * dim];
        weighted_sums(&more, matrix, dim, &mut most);
        rows.copy_from_slice(&most[..rows.len()]);
        return;
    }
    let mut out = DMatrixViewMut::from_slice(rows, dim, count);
    let matrix = DMatrixView::from_slice(matrix, dim, columns);
    out.gemm(1.0, &matrix, &view(weights, columns, count), 0.0);
}
