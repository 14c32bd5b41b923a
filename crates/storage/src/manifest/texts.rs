//! The texts of a manifest: settings, and, under a prefix among them, properties.
//!
//! Both are changed one by one, so that what another version put there, and this one does not know, stays.

use super::Manifest;

/// Before the name of a property, in [`Manifest::settings`].
const PROPERTY_PREFIX: &str = "property.";

impl Manifest {
    /// Sets these settings; the others, and the properties, stay as they are.
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
        self.settings
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(PROPERTY_PREFIX)?, value.as_str())))
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
