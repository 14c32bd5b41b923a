use crate::manifest::sample::manifest;

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn a_property_is_set_replaced_and_removed_beside_what_else_is_there() {
    let mut manifest = manifest();
    let settings = manifest.settings.clone();
    manifest.set_property("root", Some(""));
    manifest.set_property("flush_bytes", Some("a property may have a setting's name"));
    manifest.set_property("root", Some("/src/ü"));
    assert_eq!(manifest.property("root"), Some("/src/ü"));
    assert_eq!(manifest.property("roo"), None);
    assert_eq!(manifest.properties().count(), 2);
    assert_eq!(manifest.settings[..settings.len()], settings);
    manifest.set_property("root", None);
    manifest.set_property("never set", None);
    assert_eq!((manifest.property("root"), manifest.properties().count()), (None, 1));
    manifest.set_property("flush_bytes", None);
    assert_eq!(manifest.settings, settings);
}

#[test]
fn settings_leave_alone_what_they_do_not_name() {
    let mut manifest = manifest();
    manifest.settings = vec![pair("of_a_newer_version", "7"), pair("flush_bytes", "1000")];
    manifest.set_property("root", Some("/src"));
    manifest.set_settings(vec![pair("flush_bytes", "2000"), pair("fanout", "3")]);
    let expected = [
        pair("of_a_newer_version", "7"),
        pair("flush_bytes", "2000"),
        pair("property.root", "/src"),
        pair("fanout", "3"),
    ];
    assert_eq!(manifest.settings, expected);
}
