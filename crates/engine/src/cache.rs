//! What is kept of segment files between reads: decompressed metadata blocks and open files.

use std::sync::Arc;

use codegraph_vector_base::vfs::{OpenMode, Vfs, VfsFile};
use codegraph_vector_base::{ErrorKind, Result, SegmentId};
use codegraph_vector_storage::StoreLayout;
use moka::policy::EvictionPolicy as MokaPolicy;
use moka::sync::Cache;

use crate::options::{CacheConfig, EvictionPolicy};
use crate::rows::PayloadBlock;

type BlockKey = (SegmentId, usize);

/// The caches of one store. A new configuration makes new ones.
#[derive(Debug)]
pub(crate) struct Caches {
    vfs: Arc<dyn Vfs>,
    layout: StoreLayout,
    blocks: Cache<BlockKey, Arc<PayloadBlock>>,
    files: Cache<SegmentId, Arc<dyn VfsFile>>,
}

impl Caches {
    /// Empty caches for the store at `layout`.
    pub(crate) fn new(vfs: Arc<dyn Vfs>, layout: StoreLayout, config: &CacheConfig) -> Self {
        let policy = match config.policy {
            EvictionPolicy::TinyLfu => MokaPolicy::tiny_lfu(),
            EvictionPolicy::Lru => MokaPolicy::lru(),
        };
        let blocks = Cache::builder()
            .max_capacity(config.budget_bytes)
            .weigher(|_, block: &Arc<PayloadBlock>| u32::try_from(block.memory_bytes()).unwrap_or(u32::MAX))
            .eviction_policy(policy.clone())
            .build();
        let files = Cache::builder().max_capacity(config.max_open_files).eviction_policy(policy).build();
        Self { vfs, layout, blocks, files }
    }

    /// A block, from the cache or from `load`, which gets the segment's open file.
    pub(crate) fn block(
        &self,
        segment: SegmentId,
        block: usize,
        load: impl FnOnce(&dyn VfsFile) -> Result<PayloadBlock>,
    ) -> Result<Arc<PayloadBlock>> {
        if let Some(found) = self.blocks.get(&(segment, block)) {
            return Ok(found);
        }
        let loaded = Arc::new(load(&*self.file(segment)?)?);
        self.blocks.insert((segment, block), loaded.clone());
        Ok(loaded)
    }

    fn file(&self, segment: SegmentId) -> Result<Arc<dyn VfsFile>> {
        if let Some(file) = self.files.get(&segment) {
            return Ok(file);
        }
        let opened = self.vfs.open(&self.layout.segment_path(segment), OpenMode::Read);
        let file = opened.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                error.as_kind(ErrorKind::Stale).context("this view is too old: refresh it")
            }
            _ => error,
        })?;
        self.files.insert(segment, file.clone());
        Ok(file)
    }

    /// Forgets a segment whose file is removed.
    pub(crate) fn forget(&self, segment: SegmentId) {
        self.files.invalidate(&segment);
    }

    /// Bytes of blocks held, about.
    pub(crate) fn block_bytes(&self) -> u64 {
        self.blocks.run_pending_tasks();
        self.blocks.weighted_size()
    }

    /// Files held open, about.
    pub(crate) fn open_files(&self) -> u64 {
        self.files.run_pending_tasks();
        self.files.entry_count()
    }
}
