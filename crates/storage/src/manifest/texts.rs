//! The texts of a manifest: settings, and, under prefixes among them, properties and pins of the change feed.
//!
//! All are changed one by one, so that what another version put there, and this one does not know, stays.

use codegraph_vector_base::{Lsn, SeqNo};

use super::Manifest;

/// Before the name of a property, in [`Manifest::settings`].
const PROPERTY_PREFIX: &str = "property.";
/// Before the name of a pin.
const PIN_PREFIX: &str = "changes.pin.";

/// The name of where the line of history began.
const LINE_BEGAN: &str = "line.began";

impl Manifest {
    /// The commit as which the store's line of history began, and where, if that was a restore of the store in use: nothing of its
    /// log before is of this line.
    pub fn line_began(&self) -> Option<(SeqNo, Lsn)> {
        let (seqno, lsn) = self.texts(LINE_BEGAN).next()?.1.split_once('@')?;
        Some((SeqNo(seqno.parse().ok()?), Lsn(lsn.parse().ok()?)))
    }

    /// Sets it.
    pub fn set_line_began(&mut self, seqno: SeqNo, lsn: Lsn) {
        self.set_text(LINE_BEGAN.to_owned(), Some(format!("{seqno}@{lsn}")));
    }

    /// Sets these settings; the others, and the properties and pins, stay as they are.
    pub fn set_settings(&mut self, settings: Vec<(String, String)>) {
        for (name, value) in settings {
            self.set_text(name, Some(value));
        }
    }

    /// The value of a property, if it is set.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// All properties, by name and value, in no order.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts(PROPERTY_PREFIX)
    }

    /// The text of a pin, if it is there.
    pub fn pin(&self, name: &str) -> Option<&str> {
        self.pins().find(|(other, _)| *other == name).map(|(_, text)| text)
    }

    /// All pins of the change feed, by name and text, in no order. What the texts say is the engine's business.
    pub fn pins(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts(PIN_PREFIX)
    }

    /// Sets a pin, or removes it.
    pub fn set_pin(&mut self, name: &str, text: Option<&str>) {
        self.set_text(format!("{PIN_PREFIX}{name}"), text.map(str::to_owned));
    }

    /// Removes all pins.
    pub fn clear_pins(&mut self) {
        self.settings.retain(|(name, _)| !name.starts_with(PIN_PREFIX));
    }

    fn texts<'a>(&'a self, prefix: &'static str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let text =
            move |(name, value): &'a (String, String)| Some((name.strip_prefix(prefix)?, value.as_str()));
        self.settings.iter().filter_map(text)
    }

    /// Sets a property, or removes it.
    pub fn set_property(&mut self, name: &str, value: Option<&str>) {
        self.set_text(format!("{PROPERTY_PREFIX}{name}"), value.map(str::to_owned));
    }

    fn set_text(&mut self, name: String, value: Option<String>) {
        match (self.settings.iter().position(|(other, _)| *other == name), value) {
            (Some(at), Some(value)) => self.settings[at].1 = value,
            (Some(at), None) => drop(self.settings.remove(at)),
            (None, Some(value)) => self.settings.push((name, value)),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
#[path = "texts_tests.rs"]
mod tests;
