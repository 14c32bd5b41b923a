//! What is kept of segment files between reads: decompressed metadata blocks and open files.
//!
//! A store by itself has pools of its own; the stores of a set share theirs, and each entry says whose it is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use codegraph_vector_base::vfs::{OpenMode, Vfs, VfsFile};
use codegraph_vector_base::{ErrorKind, Result, SegmentId};
use codegraph_vector_storage::StoreLayout;
use moka::policy::EvictionPolicy as MokaPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;

use crate::options::{CacheConfig, EvictionPolicy};
use crate::rows::PayloadBlock;

/// Which of those that share pools this is. No number is given twice, so that a store that is opened again never meets
/// what it was before.
type Sharer = u64;
type BlockKey = (Sharer, SegmentId, usize);
type FileKey = (Sharer, SegmentId);

/// Blocks and files of those that share them, under one limit.
#[derive(Debug)]
pub(crate) struct CachePools {
    blocks: Cache<BlockKey, Arc<PayloadBlock>>,
    files: Mutex<Files>,
    next_sharer: AtomicU64,
}

impl CachePools {
    /// Empty ones.
    pub(crate) fn new(config: &CacheConfig) -> Self {
        let policy = match config.policy {
            EvictionPolicy::TinyLfu => MokaPolicy::tiny_lfu(),
            EvictionPolicy::Lru => MokaPolicy::lru(),
        };
        let blocks = Cache::builder()
            .max_capacity(config.budget_bytes)
            .weigher(|_, block: &Arc<PayloadBlock>| u32::try_from(block.memory_bytes()).unwrap_or(u32::MAX))
            .eviction_policy(policy)
            .build();
        let files = Mutex::new(Files { most: config.max_open_files as usize, ..Files::default() });
        Self { blocks, files, next_sharer: AtomicU64::new(0) }
    }

    /// Bytes of blocks held, about.
    pub(crate) fn block_bytes(&self) -> u64 {
        self.blocks.run_pending_tasks();
        self.blocks.weighted_size()
    }

    /// Files held open.
    pub(crate) fn open_files(&self) -> u64 {
        self.files.lock().open.len() as u64
    }
}

/// Open files, the least recently used of which is closed for another.
#[derive(Debug, Default)]
struct Files {
    most: usize,
    uses: u64,
    open: HashMap<FileKey, (Arc<dyn VfsFile>, u64)>,
}

impl Files {
    fn get(&mut self, key: FileKey) -> Option<Arc<dyn VfsFile>> {
        self.uses += 1;
        let (file, used) = self.open.get_mut(&key)?;
        *used = self.uses;
        Some(file.clone())
    }

    fn insert(&mut self, key: FileKey, file: Arc<dyn VfsFile>) {
        // There are so few that looking at all of them is nothing beside the opening of a file.
        while self.open.len() >= self.most {
            let oldest = self.open.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            match oldest {
                Some(oldest) => self.open.remove(&oldest),
                None => break,
            };
        }
        self.uses += 1;
        self.open.insert(key, (file, self.uses));
    }
}

/// The caches of one store. A new configuration makes new ones.
#[derive(Debug)]
pub(crate) struct Caches {
    vfs: Arc<dyn Vfs>,
    layout: StoreLayout,
    pools: Arc<CachePools>,
    sharer: Sharer,
    /// What this store has put into pools that are others', too: it takes that along when it goes.
    own_blocks: Option<Mutex<HashSet<(SegmentId, usize)>>>,
}

impl Caches {
    /// Empty caches for the store at `layout`, its own.
    pub(crate) fn new(vfs: Arc<dyn Vfs>, layout: StoreLayout, config: &CacheConfig) -> Self {
        Self { vfs, layout, pools: Arc::new(CachePools::new(config)), sharer: 0, own_blocks: None }
    }

    /// A share of `pools`.
    pub(crate) fn sharing(vfs: Arc<dyn Vfs>, layout: StoreLayout, pools: Arc<CachePools>) -> Self {
        let sharer = pools.next_sharer.fetch_add(1, Ordering::Relaxed);
        Self { vfs, layout, pools, sharer, own_blocks: Some(Mutex::default()) }
    }

    /// A block, from the cache or from `load`, which gets the segment's open file.
    pub(crate) fn block(
        &self,
        segment: SegmentId,
        block: usize,
        load: impl FnOnce(&dyn VfsFile) -> Result<PayloadBlock>,
    ) -> Result<Arc<PayloadBlock>> {
        let key = (self.sharer, segment, block);
        if let Some(found) = self.pools.blocks.get(&key) {
            return Ok(found);
        }
        let loaded = Arc::new(load(&*self.file(segment)?)?);
        if let Some(own) = &self.own_blocks {
            own.lock().insert((segment, block));
        }
        self.pools.blocks.insert(key, loaded.clone());
        Ok(loaded)
    }

    fn file(&self, segment: SegmentId) -> Result<Arc<dyn VfsFile>> {
        let key = (self.sharer, segment);
        if let Some(file) = self.pools.files.lock().get(key) {
            return Ok(file);
        }
        let opened = self.vfs.open(&self.layout.segment_path(segment), OpenMode::Read);
        let file = opened.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                error.as_kind(ErrorKind::Stale).context("this view is too old: refresh it")
            }
            _ => error,
        })?;
        self.pools.files.lock().insert(key, file.clone());
        Ok(file)
    }

    /// Forgets a segment whose file is removed.
    pub(crate) fn forget(&self, segment: SegmentId) {
        self.pools.files.lock().open.remove(&(self.sharer, segment));
    }

    /// Bytes of blocks held, about; for all that share them.
    pub(crate) fn block_bytes(&self) -> u64 {
        self.pools.block_bytes()
    }

    /// Files held open; for all that share them.
    pub(crate) fn open_files(&self) -> u64 {
        self.pools.open_files()
    }
}

impl Drop for Caches {
    fn drop(&mut self) {
        let Some(own) = &self.own_blocks else { return };
        for (segment, block) in own.lock().drain() {
            self.pools.blocks.invalidate(&(self.sharer, segment, block));
        }
        let sharer = self.sharer;
        self.pools.files.lock().open.retain(|(whose, _), _| *whose != sharer);
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
