//! Maintenance windows: times of day, in a time zone, at which work in the background may run.

use std::fmt;
use std::str::FromStr;

use codegraph_vector_base::{Error, Result};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

const MINUTES_OF_DAY: u16 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A moment as clocks on the wall show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WallTime {
    /// From 0, Monday, to 6.
    day: u8,
    /// Of the day.
    minute: u16,
}

/// Times at which maintenance may run in the background; none named is always. As a text: `02:00-05:00`, several with commas
/// between them, each with days before it if it is not for all: `mon-fri 22:00-06:00,sat 00:00-24:00`. What ends before it
/// begins ends on the day after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaintenanceWindows {
    windows: Vec<Window>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    /// The days on which it begins, from one to another; `None` for all.
    days: Option<(u8, u8)>,
    from: u16,
    to: u16,
}

impl Window {
    fn begins_on(&self, day: u8) -> bool {
        match self.days {
            None => true,
            Some((first, last)) if first <= last => (first..=last).contains(&day),
            Some((first, last)) => day >= first || day <= last,
        }
    }

    fn is_open(&self, at: WallTime) -> bool {
        let yesterday = (at.day + 6) % 7;
        let WallTime { day, minute } = at;
        match self.from < self.to {
            true => self.begins_on(day) && (self.from..self.to).contains(&minute),
            false => {
                self.begins_on(day) && minute >= self.from || self.begins_on(yesterday) && minute < self.to
            }
        }
    }

    /// Minutes until it begins the next time.
    fn minutes_until(&self, at: WallTime) -> u64 {
        let of_week = |day: u8, minute: u16| u64::from(day) * u64::from(MINUTES_OF_DAY) + u64::from(minute);
        let week = of_week(7, 0);
        let begins = (0..7).filter(|day| self.begins_on(*day)).map(|day| of_week(day, self.from));
        let wait = |begin: u64| (begin + week - of_week(at.day, at.minute)) % week;
        begins.map(wait).min().unwrap_or(week)
    }
}

impl MaintenanceWindows {
    /// Whether there are none: then it is always time.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Whether one is open.
    pub(crate) fn is_open(&self, at: WallTime) -> bool {
        self.is_empty() || self.windows.iter().any(|window| window.is_open(at))
    }

    /// Minutes until the next one opens, if clocks are not put forward or back; 0 without any.
    pub(crate) fn minutes_until_open(&self, at: WallTime) -> u64 {
        if self.is_open(at) {
            return 0;
        }
        self.windows.iter().map(|window| window.minutes_until(at)).min().unwrap_or(0)
    }
}

impl fmt::Display for MaintenanceWindows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Window { days, from, to }) in self.windows.iter().enumerate() {
            f.write_str(if at > 0 { "," } else { "" })?;
            match days {
                Some((first, last)) if first == last => write!(f, "{} ", DAYS[usize::from(*first)])?,
                Some((first, last)) => {
                    write!(f, "{}-{} ", DAYS[usize::from(*first)], DAYS[usize::from(*last)])?;
                }
                None => {}
            }
            write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)?;
        }
        Ok(())
    }
}

impl FromStr for MaintenanceWindows {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let windows = text.split(',').map(|window| {
            let window = window.trim();
            parse_window(&window.to_ascii_lowercase()).ok_or_else(|| {
                let days = DAYS.join(", ");
                Error::invalid(format!(
                    "a maintenance window cannot be {window:?}: it is like 02:00-05:00, or like mon-fri 22:00-06:00; days \
                     are {days}"
                ))
            })
        });
        Ok(Self { windows: windows.collect::<Result<_>>()? })
    }
}

fn parse_window(text: &str) -> Option<Window> {
    let (days, times) = match text.rsplit_once(char::is_whitespace) {
        Some((days, times)) => (Some(parse_days(days.trim())?), times),
        None => (None, text),
    };
    let (from, to) = times.split_once('-')?;
    let window = Window { days, from: parse_minute(from)?, to: parse_minute(to)? };
    // What begins when it ends might be meant as never or as always.
    (window.from != window.to && window.from < MINUTES_OF_DAY && window.to > 0).then_some(window)
}

fn parse_days(text: &str) -> Option<(u8, u8)> {
    let day = |name: &str| DAYS.iter().position(|known| *known == name).map(|at| at as u8);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((day(first.trim())?, day(last.trim())?))
}

fn parse_minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let is_number =
        |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(hours) || minutes.len() != 2 || !is_number(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= MINUTES_OF_DAY).then_some(minute)
}

/// The time zone of maintenance windows. As a text: `UTC`, `+02:00`, `local`, or a name such as `Europe/Berlin`, which
/// is looked up in the system's database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MaintenanceTimeZone {
    /// Coordinated universal time.
    #[default]
    Utc,
    /// So many seconds ahead of it.
    Offset(i32),
    /// That of the system.
    Local,
    /// That of the system's database with this name.
    Named(String),
}

impl MaintenanceTimeZone {
    /// Refuses what the system does not know.
    pub(crate) fn check(&self) -> Result<()> {
        self.zone().map(|_| ())
    }

    /// What clocks on the wall show. By UTC where the system does not know the time zone: a store may have come from another.
    pub(crate) fn wall_time(&self, now_us: u64) -> WallTime {
        let moment = i64::try_from(now_us).ok().and_then(|us| Timestamp::from_microsecond(us).ok());
        let zoned = moment.unwrap_or_default().to_zoned(self.zone().unwrap_or(TimeZone::UTC));
        let minute = i16::from(zoned.hour()) * 60 + i16::from(zoned.minute());
        WallTime { day: zoned.weekday().to_monday_zero_offset() as u8, minute: minute as u16 }
    }

    fn zone(&self) -> Result<TimeZone> {
        match self {
            Self::Utc => Ok(TimeZone::UTC),
            Self::Offset(seconds) => {
                let offset = Offset::from_seconds(*seconds);
                let far = |_| Error::invalid(format!("a time zone cannot be {seconds} seconds from UTC"));
                offset.map(TimeZone::fixed).map_err(far)
            }
            Self::Local => Ok(TimeZone::system()),
            Self::Named(name) => TimeZone::get(name).map_err(|error| {
                Error::invalid(format!(
                    "there is no time zone {name:?} here ({error}); others are UTC, local and offsets such as +02:00"
                ))
            }),
        }
    }
}

impl fmt::Display for MaintenanceTimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utc => f.write_str("UTC"),
            Self::Local => f.write_str("local"),
            Self::Named(name) => f.write_str(name),
            Self::Offset(seconds) => {
                let (sign, minutes) = (if *seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs() / 60);
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

impl FromStr for MaintenanceTimeZone {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(format!(
                "a time zone cannot be {text:?}: it is UTC, local, an offset such as +02:00, or a name such as Europe/Berlin"
            ))
        };
        if text.eq_ignore_ascii_case("utc") {
            return Ok(Self::Utc);
        }
        if text.eq_ignore_ascii_case("local") {
            return Ok(Self::Local);
        }
        if let Some(offset) = text.strip_prefix(['+', '-']) {
            let minutes = parse_minute(offset).ok_or_else(bad)?;
            let seconds = i32::from(minutes) * 60;
            return Ok(Self::Offset(if text.starts_with('-') { -seconds } else { seconds }));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+');
        match text.len() {
            1..=64 if text.bytes().all(allowed) => Ok(Self::Named(text.to_owned())),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14 was a Tuesday; this is its midnight in UTC, in minutes since the epoch.
    const TUESDAY: u64 = 1_699_920_000 / 60;

    fn at(zone: &str, minute: u64) -> WallTime {
        zone.parse::<MaintenanceTimeZone>().unwrap().wall_time(minute * 60_000_000)
    }

    fn wall(day: &str, hour: u16, minute: u16) -> WallTime {
        let day = DAYS.iter().position(|known| *known == day).unwrap() as u8;
        WallTime { day, minute: hour * 60 + minute }
    }

    fn windows(text: &str) -> MaintenanceWindows {
        text.parse().unwrap()
    }

    #[test]
    fn texts_survive() {
        for text in [
            "",
            "02:00-05:00",
            "mon-fri 22:00-06:00,sat 00:00-24:00",
            "sun-mon 23:30-00:15",
            "wed 09:05-10:00",
        ] {
            assert_eq!(windows(text).to_string(), text);
        }
        assert_eq!(
            windows(" MON - fri  2:00-5:00 , 6:00-7:00").to_string(),
            "mon-fri 02:00-05:00,06:00-07:00"
        );
        for bad in [
            "02:00",
            "2-5",
            "02:00-02:00",
            "24:00-05:00",
            "02:60-03:00",
            "25:00-26:00",
            "may 02:00-03:00",
            ",",
            "05:00-00:00",
            "+2:00-3:00",
            "02:00-05:00-06:00",
            "02:0-05:00",
        ] {
            let error = bad.parse::<MaintenanceWindows>().unwrap_err();
            assert!(error.message().contains("maintenance window"), "{bad}: {error}");
        }
        for text in ["UTC", "local", "+02:00", "-09:30", "Europe/Berlin", "Etc/GMT+5"] {
            assert_eq!(text.parse::<MaintenanceTimeZone>().unwrap().to_string(), text);
        }
        for bad in ["", "+2", "+25:00", "Europe/Ber lin", "../etc/passwd"] {
            assert!(bad.parse::<MaintenanceTimeZone>().is_err(), "{bad}");
        }
    }

    #[test]
    fn zones_are_as_far_from_utc_as_they_say() {
        assert_eq!(at("UTC", TUESDAY + 61), wall("tue", 1, 1));
        assert_eq!(at("+02:00", TUESDAY + 61), wall("tue", 3, 1));
        assert_eq!(at("-01:30", TUESDAY + 61), wall("mon", 23, 31));
        let nowhere: MaintenanceTimeZone = "Mars/Olympus_Mons".parse().unwrap();
        assert!(nowhere.check().unwrap_err().message().contains("Mars/Olympus_Mons"));
        assert_eq!(nowhere.wall_time((TUESDAY + 61) * 60_000_000), wall("tue", 1, 1));
        // Where the system has a database at all, summer is an hour ahead of winter.
        let berlin: MaintenanceTimeZone = "Europe/Berlin".parse().unwrap();
        if berlin.check().is_ok() {
            assert_eq!(berlin.wall_time(TUESDAY * 60_000_000), wall("tue", 1, 0));
            let july = TUESDAY - 126 * 24 * 60;
            assert_eq!(berlin.wall_time(july * 60_000_000), wall("tue", 2, 0));
        }
    }

    #[test]
    fn windows_open_and_shut() {
        let night = windows("02:00-05:00");
        let open = |windows: &MaintenanceWindows, day, hour, minute| windows.is_open(wall(day, hour, minute));
        assert!(open(&night, "mon", 2, 0) && open(&night, "sun", 4, 59));
        assert!(!open(&night, "mon", 1, 59) && !open(&night, "mon", 5, 0));
        let over_midnight = windows("fri 22:00-06:00");
        assert!(open(&over_midnight, "fri", 22, 0) && open(&over_midnight, "sat", 5, 59));
        assert!(!open(&over_midnight, "fri", 5, 0) && !open(&over_midnight, "sat", 6, 0));
        assert!(!open(&over_midnight, "sat", 23, 0));
        let days = windows("sat-mon 00:00-24:00");
        assert!(open(&days, "sun", 23, 59) && open(&days, "mon", 0, 0) && !open(&days, "tue", 0, 0));
        assert!(open(&windows(""), "tue", 12, 0));
    }

    #[test]
    fn the_next_one_is_known() {
        let wait = |text: &str, at| windows(text).minutes_until_open(at);
        assert_eq!(wait("02:00-05:00", wall("mon", 1, 30)), 30);
        assert_eq!(wait("02:00-05:00", wall("mon", 5, 0)), 21 * 60);
        assert_eq!(wait("02:00-05:00", wall("mon", 3, 0)), 0);
        assert_eq!(wait("sun 23:00-01:00", wall("mon", 1, 0)), 7 * 24 * 60 - 120);
        assert_eq!(wait("mon 05:00-06:00,tue 02:00-03:00", wall("mon", 7, 0)), 19 * 60);
        assert_eq!(wait("", wall("mon", 7, 0)), 0);
    }
}
