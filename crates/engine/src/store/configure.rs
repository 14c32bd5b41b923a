//! What belongs to the store itself and to no row: its settings, and its properties. Both are texts in the manifest.
//!
//! What always holds: a change is one switch of manifests; no change undoes another that came between reading
//! and switching; the settings in memory are those of the last switch that this process made, if it made one.

use std::sync::Arc;

use codegraph_vector_base::{Error, ErrorKind, Result, limits};
use codegraph_vector_storage::manifest::Manifest;

use super::core::{Core, Writer};
use crate::cache::Caches;
use crate::options::Settings;

impl Core {
    /// Changes settings, and keeps them for later openings.
    ///
    /// What is due under the new ones is done in the background.
    pub(crate) fn configure(self: &Arc<Self>, change: impl FnOnce(&mut Settings)) -> Result<()> {
        let writer = self.writer()?;
        let _one_at_a_time = writer.configuring.lock();
        let before = self.settings();
        let mut settings = (*before).clone();
        change(&mut settings);
        settings.check()?;
        settings.check_dimension(self.dimension)?;
        if settings.compression != before.compression {
            self.check_loss(&settings)?;
        }
        self.change_texts(writer, |_| Ok(true), |next| next.set_settings(settings.to_pairs()))?;
        if settings.cache != before.cache && self.budget.is_none() {
            let caches = Caches::new(self.environment.vfs.clone(), self.layout.clone(), &settings.cache);
            self.caches.store(Arc::new(caches));
        }
        writer.log.set_max_file_bytes(settings.max_wal_file_bytes);
        let reschedule = settings.checkpoint_interval_ms() != before.checkpoint_interval_ms();
        let rearchive = settings.archive != before.archive;
        let reseal = settings.memtable_age() != before.memtable_age();
        self.settings.store(Arc::new(settings));
        if reschedule {
            self.schedule_checkpoints();
        }
        if rearchive {
            self.schedule_archive()?;
        }
        if reseal {
            self.schedule_sealing();
        }
        writer.maintenance.gate.look_again();
        self.look_up_codec();
        self.schedule_maintenance();
        Ok(())
    }

    /// The value of a property, if it is set.
    pub(crate) fn property(&self, name: &str) -> Result<Option<String>> {
        check_name("property", name)?;
        self.check_open()?;
        Ok(self.manifests.lock().current.property(name).map(str::to_owned))
    }

    /// Sets a property, or removes it; durable when this returns.
    pub(crate) fn set_property(&self, name: &str, value: Option<&str>) -> Result<()> {
        check_name("property", name)?;
        if let Some(value) = value.filter(|value| value.len() > limits::MAX_PROPERTY_BYTES) {
            let message = format!(
                "the property {name} takes {} bytes, over the limit of {}",
                value.len(),
                limits::MAX_PROPERTY_BYTES
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let changes = |now: &Manifest| {
            let known = now.property(name);
            if known.is_none() && value.is_some() && now.properties().count() >= limits::MAX_PROPERTIES {
                let message = format!(
                    "the store has {} properties, which is the limit; remove one before setting {name}",
                    limits::MAX_PROPERTIES
                );
                return Err(Error::new(ErrorKind::TooLarge, message));
            }
            Ok(known != value)
        };
        self.change_texts(self.writer()?, changes, |next| next.set_property(name, value))
    }

    /// Installs a manifest with other texts, if `changes` finds in the present one that there is a need.
    pub(super) fn change_texts(
        &self,
        writer: &Writer,
        changes: impl FnOnce(&Manifest) -> Result<bool>,
        change: impl FnOnce(&mut Manifest),
    ) -> Result<()> {
        let mut manifests = self.manifests.lock();
        self.check_open()?;
        // After a switch that may or may not have happened, what the present manifest says may not be what the
        // next open finds.
        if let Some(error) = writer.log.failure() {
            return Err(error);
        }
        if !changes(&manifests.current)? {
            return Ok(());
        }
        self.install_locked(&mut manifests, |next| {
            change(next);
            Ok(())
        })
    }
}

/// Refuses what cannot be the name of such a thing.
pub(crate) fn check_name(thing: &str, name: &str) -> Result<()> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    if (1..=limits::MAX_PROPERTY_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let shown: String = name.chars().take(limits::MAX_PROPERTY_NAME_BYTES).collect();
    Err(Error::invalid(format!(
        "a {thing} cannot be called {shown:?}: a name has 1 to {} of the characters a-z, 0-9, '.', '_' and '-'",
        limits::MAX_PROPERTY_NAME_BYTES
    )))
}
