//! The people of the events, and where they are.

use super::super::chance::{Purpose, draws, guid};

/// Someone.
pub(super) struct Person {
    pub(super) given: &'static str,
    pub(super) family: &'static str,
    /// Address and login name.
    pub(super) mail: String,
    pub(super) id: String,
    /// Where they mostly are: an index of `PLACES`.
    pub(super) home: usize,
}

/// Anyone of them.
pub(super) fn someone(seed: u64, rng: &mut fastrand::Rng) -> Person {
    let user = rng.u64(..USERS);
    let (given, family) = name(user);
    let own = &mut draws(seed, user, Purpose::Fields);
    let home = own.usize(..PLACES.len());
    let mail = format!("{}.{}@contoso.example", ascii(given), ascii(family));
    Person { given, family, mail, id: guid(own), home }
}

const USERS: u64 = 400;

fn name(user: u64) -> (&'static str, &'static str) {
    let user = user as usize;
    (GIVEN[user % GIVEN.len()], FAMILY[user / GIVEN.len() % FAMILY.len()])
}

/// A name as it stands in an address.
fn ascii(name: &str) -> String {
    name.chars()
        .filter_map(|c| match c {
            'ë' => Some('e'),
            'ü' => Some('u'),
            'ł' => Some('l'),
            'ø' => Some('o'),
            c if c.is_ascii_alphabetic() => Some(c.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// An address of the blocks kept for documentation.
pub(super) fn address(rng: &mut fastrand::Rng) -> String {
    let low = rng.u8(1..255);
    match rng.u8(..8) {
        0 => format!("2001:db8:{:x}::{low:x}", rng.u16(..)),
        1..=3 => format!("198.51.100.{low}"),
        4..=5 => format!("192.0.2.{low}"),
        _ => format!("203.0.113.{low}"),
    }
}

const GIVEN: [&str; 20] = [
    "Adele", "Bianca", "Chidi", "Diego", "Emily", "Farah", "Grace", "Henrik", "Isaiah", "Johanna",
    "Kenji", "Lynne", "Megan", "Nestor", "Oksana", "Pradeep", "Quentin", "Rosa", "Sanjay", "Zoë",
];
const FAMILY: [&str; 20] = [
    "Vance",
    "Pisani",
    "Okafor",
    "Siciliani",
    "Braun",
    "Haddad",
    "Liu",
    "Sørensen",
    "Langer",
    "Lorenz",
    "Tanaka",
    "Robbins",
    "Bowen",
    "Wilke",
    "Kowal",
    "Gupta",
    "Dubois",
    "O'Neill",
    "Müller",
    "Pawłowski",
];
/// City, state, country, latitude and longitude, the numbers as the API writes them.
pub(super) const PLACES: [(&str, &str, &str, &str, &str); 8] = [
    ("München", "Bayern", "DE", "48.13743", "11.57549"),
    ("Redmond", "Washington", "US", "47.68050", "-122.12094"),
    ("São Paulo", "Sao Paulo", "BR", "-23.5475", "-46.63611"),
    ("Nairobi", "Nairobi Area", "KE", "-1.28333", "36.81667"),
    ("東京", "Tokyo", "JP", "35.6895", "139.69171"),
    ("Wrocław", "Dolnoslaskie", "PL", "51.1", "17.03333"),
    ("Dublin", "Leinster", "IE", "53.33306", "-6.24889"),
    ("Sydney", "New South Wales", "AU", "-33.86785", "1.5120732E2"),
];
