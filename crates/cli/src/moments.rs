//! Moments as people write them.

use codegraph_vector::Environment;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A moment in µs since the Unix epoch: RFC 3339, or without a zone, then local; a time alone is today's.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let zone = TimeZone::system();
    let now = i64::try_from(Environment::default().clock.now_us()).unwrap_or(i64::MAX);
    let now = Timestamp::from_microsecond(now).map_err(|error| error.to_string())?;
    parse_at(text, &now.to_zoned(zone))
}

fn parse_at(text: &str, now: &Zoned) -> Result<u64, String> {
    let local = |time: DateTime| time.to_zoned(now.time_zone().clone()).map(|zoned| zoned.timestamp());
    let timestamp = match (text.parse::<Timestamp>(), text.parse::<DateTime>(), text.parse::<Time>()) {
        (Ok(timestamp), ..) => Ok(timestamp),
        (_, Ok(time), _) => local(time),
        (.., Ok(time)) => local(now.date().to_datetime(time)),
        (Err(error), ..) => Err(error),
    };
    let us = timestamp.map(Timestamp::as_microsecond).map_err(|error| {
        format!("is no time, like 2026-11-24T10:41:00Z, 2026-11-24T10:41 (local) or 10:41 (today): {error}")
    })?;
    u64::try_from(us).map_err(|_| "is before 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_a_zone_or_is_local_or_of_today() {
        let now: Zoned = "2026-11-24T12:00:00[Asia/Tokyo]".parse().unwrap();
        let us = |text: &str| parse_at(text, &now);
        let zero = us("2026-11-24T01:41:00Z").unwrap();
        assert_eq!(zero, 1_795_484_460_000_000);
        for same in
            ["2026-11-24T10:41:00+09:00", "2026-11-24T10:41", "2026-11-24 10:41:00", "10:41", "10:41:00"]
        {
            assert_eq!(us(same), Ok(zero), "{same}");
        }
        assert_eq!(us("10:41:00.000007"), Ok(zero + 7));
        for wrong in ["", "soon", "25:00", "1960-01-01T00:00:00Z"] {
            assert!(us(wrong).is_err(), "{wrong}");
        }
    }
}
