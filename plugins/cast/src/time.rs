//! Timestamps as text: RFC 3339.

use oast_sdk::Date;

const DAY_SECONDS: i64 = 86_400;
const SECOND_MICROS: i64 = 1_000_000;

/// The timestamp as text in UTC, with six digits behind the point unless they are all 0.
pub(crate) fn format(micros: i64) -> String {
    let (seconds, rest) = (micros.div_euclid(SECOND_MICROS), micros.rem_euclid(SECOND_MICROS));
    let Date { year, month, day } = Date::from_days(seconds.div_euclid(DAY_SECONDS));
    let second = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let sign = if year < 0 { "-" } else { "" };
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:06}") };
    format!("{sign}{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z", year.abs())
}

/// The microseconds of a text such as `2013-01-31`, `2013-01-31 23:00` and `2013-01-31T23:00:00.25-05:00`.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let mut rest = text;
    let (year, month, day) = (digits(&mut rest, 4)?, signed(&mut rest, "-")?, signed(&mut rest, "-")?);
    let date = Date::new(year, month.try_into().ok()?, day.try_into().ok()?)?;
    let midnight = date.days() * DAY_SECONDS * SECOND_MICROS;
    if rest.is_empty() {
        return Some(midnight);
    }
    rest = rest.strip_prefix(['T', 't', ' '])?;
    let (hour, minute) = (digits(&mut rest, 2)?, signed(&mut rest, ":")?);
    let (second, micros) = if rest.starts_with(':') { (signed(&mut rest, ":")?, fraction(&mut rest)?) } else { (0, 0) };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = hour * 3_600 + minute * 60 + second - offset(rest)?;
    Some(midnight + seconds * SECOND_MICROS + micros)
}

/// Takes this many digits off the front.
fn digits(rest: &mut &str, count: usize) -> Option<i64> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    head.bytes().all(|byte| byte.is_ascii_digit()).then(|| head.parse().ok())?
}

/// Takes a sign and two digits off the front.
fn signed(rest: &mut &str, sign: &str) -> Option<i64> {
    *rest = rest.strip_prefix(sign)?;
    digits(rest, 2)
}

/// Takes a fraction of a second off the front, if there is one, as microseconds.
fn fraction(rest: &mut &str) -> Option<i64> {
    let Some(tail) = rest.strip_prefix('.') else { return Some(0) };
    let length = tail.bytes().take_while(u8::is_ascii_digit).count();
    let (head, tail) = tail.split_at(length);
    *rest = tail;
    let micros = format!("{:0<6}", head.get(..6).unwrap_or(head));
    if head.is_empty() { None } else { micros.parse().ok() }
}

/// The seconds by which a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.chars().next() {
        None | Some('Z' | 'z') if zone.len() <= 1 => return Some(0),
        Some('+') => 1,
        Some('-') => -1,
        _ => return None,
    };
    let mut rest = &zone[1..];
    let (hours, minutes) = (digits(&mut rest, 2)?, signed(&mut rest, ":")?);
    (rest.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}
