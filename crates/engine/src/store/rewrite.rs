//! Segments that are not as the settings ask for are written anew, one at a time.
//!
//! What always holds: each is one merge of one segment, so a crash leaves it as it was or as it is to be; what waits is
//! told by the segments alone, so a switch that was interrupted goes on after the next open.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_ann::codec::CodecSpec;
use codegraph_vector_base::{Error, Result};

use super::core::Core;
use super::maintenance::{JobKind, Mode};
use crate::compression::{Compression, Keep, TrainedCodec};
use crate::options::Settings;
use crate::segment::Segment;
use crate::version::Version;

impl Core {
    /// The codec that the settings ask for, if it is there.
    pub(super) fn codec_for(&self, settings: &Settings) -> Option<Arc<TrainedCodec>> {
        let policy = settings.compression.as_ref()?;
        self.codec.load_full().filter(|trained| trained.codec.spec() == policy.spec)
    }

    /// Takes on the codec that the settings ask for from the segments that were encoded by it, if there is none yet.
    pub(super) fn look_up_codec(&self) {
        let settings = self.settings();
        let Some(policy) = &settings.compression else { return };
        if self.codec_for(&settings).is_none()
            && let Some(known) = codec_in(&self.version.load(), &policy.spec)
        {
            self.codec.store(Some(known));
        }
    }

    /// Whether a segment is to be written anew.
    pub(super) fn waits(&self, segment: &Segment, settings: &Settings) -> bool {
        if segment.damage().is_some() {
            return false; // It is left alone.
        }
        if segment.keep() == Keep::None {
            return self.is_recoded(segment, settings);
        }
        let Some(policy) = &settings.compression else { return segment.is_coded() };
        let Some(trained) = self.encoding(segment.live_rows() as usize).codec else { return false };
        segment.keep() > policy.keep || !is_by(segment, |codec| codec.id == trained.id)
    }

    /// Whether codes that are all there is of some rows are to be decoded and coded anew.
    pub(super) fn is_recoded(&self, segment: &Segment, settings: &Settings) -> bool {
        if segment.keep() > Keep::None || !settings.compression_lossy {
            return false;
        }
        match (&settings.compression, self.codec_for(settings)) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(policy), Some(trained)) => {
                policy.keep > Keep::None || !is_by(segment, |codec| codec.id == trained.id)
            }
        }
    }

    /// Refuses settings under which rows of which only codes are kept would have to be decoded, unless that was asked.
    pub(super) fn check_loss(&self, settings: &Settings) -> Result<()> {
        if settings.compression_lossy {
            return Ok(());
        }
        let stays = |segment: &&Arc<Segment>| match &settings.compression {
            Some(Compression { spec, keep: Keep::None }) => {
                is_by(segment, |codec| codec.codec.spec() == *spec)
            }
            _ => false,
        };
        let version = self.version.load();
        let only_codes = version.segments.iter().filter(|segment| segment.keep() == Keep::None);
        let rows: u64 = only_codes.filter(|segment| !stays(segment)).map(|segment| segment.live_rows()).sum();
        if rows == 0 {
            return Ok(());
        }
        let wanted = settings.compression.as_ref().map_or("none".to_owned(), Compression::to_string);
        Err(Error::invalid(format!(
            "of {rows} rows only codes are kept, and what their vectors were is gone: for compression {wanted} they would \
             be decoded, which loses more of them. Ask for that (`--lossy`), or leave the codec as it is"
        )))
    }

    /// Whether something is to be done for the compression that the settings ask for.
    pub(super) fn is_compression_due(&self) -> bool {
        let (version, settings) = (self.version.load(), self.settings());
        let training = || {
            let free = self.writer.as_ref().is_some_and(|writer| writer.training.try_turn().is_some());
            free && self.is_training_due(&version, &settings)
        };
        self.waiting(&version, &settings).next().is_some()
            || self.is_loss_over(&version, &settings)
            || training()
    }

    /// Trains what is to be trained, and writes anew what waits; in the background.
    pub(super) fn compress_where_due(self: &Arc<Self>) -> Result<()> {
        self.train_where_due()?;
        self.rewrite_where_due(Mode::Background, &mut |_, _| {})
    }

    /// Writes segments anew until none waits. `told` hears after each how many were, and how many wait.
    pub(super) fn rewrite_where_due(
        self: &Arc<Self>,
        mode: Mode,
        told: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let mut rewritten = 0;
        loop {
            let mut waiting = 0;
            let done = self.merge_if(mode, JobKind::Rewrite, |version| {
                let settings = self.settings();
                let waits: Vec<_> = self.waiting(version, &settings).cloned().collect();
                waiting = waits.len() as u64;
                waits.into_iter().next().map(|segment| vec![segment])
            })?;
            if done.is_none() {
                break;
            }
            rewritten += 1;
            self.counters.rewrites.fetch_add(1, Ordering::Relaxed);
            told(rewritten, waiting - 1);
            self.let_go()?;
        }
        if self.is_loss_over(&self.version.load(), &self.settings()) {
            self.configure(|settings| settings.compression_lossy = false)?;
        }
        Ok(())
    }

    /// Segments that are to be written anew.
    pub(super) fn waiting<'a>(
        &'a self,
        version: &'a Version,
        settings: &'a Settings,
    ) -> impl Iterator<Item = &'a Arc<Segment>> {
        version.segments.iter().filter(|segment| self.waits(segment, settings))
    }

    /// Whether all was decoded that was asked to be.
    fn is_loss_over(&self, version: &Version, settings: &Settings) -> bool {
        let ready = settings.compression.is_none() || self.codec_for(settings).is_some();
        settings.compression_lossy && ready && self.waiting(version, settings).next().is_none()
    }
}

/// Whether all codes of a segment are by codecs of this kind. What cannot be read is by none.
fn is_by(segment: &Segment, is: impl Fn(&TrainedCodec) -> bool) -> bool {
    let groups = segment.groups().unwrap_or_default();
    !groups.is_empty() && groups.iter().all(|group| is(&group.trained))
}

/// The codec of that spec which most rows of a version are encoded by. What cannot be read is left out.
pub(super) fn codec_in(version: &Version, spec: &CodecSpec) -> Option<Arc<TrainedCodec>> {
    let mut found: Vec<(Arc<TrainedCodec>, usize)> = Vec::new();
    for group in version.segments.iter().flat_map(|segment| segment.groups().unwrap_or_default()) {
        if group.trained.codec.spec() != *spec {
            continue;
        }
        match found.iter_mut().find(|(known, _)| known.id == group.trained.id) {
            Some((_, rows)) => *rows += group.codes.rows(),
            None => found.push((group.trained.clone(), group.codes.rows())),
        }
    }
    found.into_iter().max_by_key(|(trained, rows)| (*rows, trained.id)).map(|(trained, _)| trained)
}
