use proptest::prelude::*;

use super::*;

const SECRET: &str = "Hunter2!is:the*secret";
const WITHIN: Duration = Duration::from_secs(15);

fn read(url: &str) -> Result<Database, ConfigError> {
    parse(url, WITHIN)
}

/// What is read, in short: where, then what else there is.
fn shown(url: &str) -> String {
    let database = read(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    let seconds = database.connect_timeout.as_secs();
    format!("{database} {} {seconds}s", database.tls)
}

#[test]
fn a_url_says_where_the_database_is_and_who_asks() {
    for (url, expected) in [
        ("postgresql://me@db.example", "me@db.example:5432/me verify-full 5s"),
        ("postgres://me:pw@db.example:6543/fleet", "me@db.example:6543/fleet verify-full 5s"),
        ("postgresql://me@a,b:1,c/x", "me@a:5432,b:1,c:5432/x verify-full 5s"),
        ("postgresql://me@a,b,c,d,e/x", "me@a:5432,b:5432,c:5432,d:5432,e:5432/x verify-full 3s"),
        ("postgresql://m%40e@db/a%2Fb", "m@e@db:5432/a/b verify-full 5s"),
        ("postgresql://me@[2001:db8::1]:7/x", "me@[2001:db8::1]:7/x verify-full 5s"),
        ("postgresql://me@[::1]/x", "me@[::1]:5432/x prefer 5s"),
        ("postgresql://me@localhost,127.0.0.2/x", "me@localhost:5432,127.0.0.2:5432/x prefer 5s"),
        ("postgresql://me@localhost,db/x", "me@localhost:5432,db:5432/x verify-full 5s"),
        ("postgresql:///x?host=/run/pg&user=me", "me@/run/pg:5432/x prefer 5s"),
        ("postgresql://me@%2Frun%2Fpg:7/x", "me@/run/pg:7/x prefer 5s"),
        ("postgresql://?host=a,b&port=7&user=me&dbname=x", "me@a:7,b:7/x verify-full 5s"),
        ("postgresql://me@/x?host=::1,b&port=7,8", "me@[::1]:7,b:8/x verify-full 5s"),
        ("postgresql://me@db/x?sslmode=require", "me@db:5432/x require 5s"),
        ("postgresql://me@db/x?sslmode=require&sslrootcert=/ca", "me@db:5432/x verify-ca 5s"),
        ("postgresql://me@db/x?sslmode=verify-ca", "me@db:5432/x verify-ca 5s"),
        ("postgresql://me@localhost/x?sslmode=disable", "me@localhost:5432/x disable 5s"),
        ("postgresql://me@db/x?connect_timeout=9", "me@db:5432/x verify-full 9s"),
        ("postgresql://me@db/x?target_session_attrs=read-write", "me@db:5432/x verify-full 5s"),
    ] {
        assert_eq!(shown(url), format!("postgresql://{expected}"), "{url}");
    }
}

#[test]
fn parameters_say_where_secrets_and_certificates_are() {
    let database = read(
        "postgresql://me@db/x?sslrootcert=/etc/ca%20x.pem&sslcert=/c&sslkey=/k&passfile=/p&options=-c%20search_path%3Dfleet",
    )
    .unwrap();
    let path = |text: &str| Some(PathBuf::from(text));
    assert_eq!(database.ca_file, path("/etc/ca x.pem"));
    assert_eq!(database.client, path("/c").zip(path("/k")));
    assert_eq!((database.passfile, database.password_file), (path("/p"), None));
    assert_eq!(database.options.as_deref(), Some("-c search_path=fleet"));
    let database = read("postgresql://me@db/x?sslrootcert=system&password_file=/p").unwrap();
    assert_eq!((database.ca_file, database.password_file), (None, path("/p")));
    let database = read("postgresql://me:a%40b:%20+c@db/x").unwrap();
    assert_eq!(database.password.unwrap().expose(), "a@b: +c");
}

#[test]
fn what_cannot_work_is_refused_with_the_mend_and_without_the_password() {
    for (url, problem, mend) in [
        ("mysql://me:hunter2@db/x", "neither", "postgresql://"),
        ("postgresql:/me:hunter2@db/x", "neither", "postgresql://"),
        ("host=db password=hunter2", "neither", "postgresql://"),
        ("postgresql://me:hunter 2@db/x", "a space", "%20"),
        ("postgresql://me:hunter2@@db/x", "an @", "%40"),
        ("postgresql://me:hunter2/x@db/x", "an @", "%2F"),
        ("postgresql://me:hunter2?x@db/x", "an @", "%3F"),
        ("postgresql://me:hunter2%@db/x", "a % in the password", "%25"),
        ("postgresql://me:hunter2%0@db/x", "a % in the password", "%25"),
        ("postgresql://me:hunter2%00@db/x", "a % in the password", "%25"),
        ("postgresql://me:hunter2%+1@db/x", "a % in the password", "%25"),
        ("postgresql://me:hunter2%ff@db/x", "a % in the password", "%25"),
        ("postgresql://me%0a:hunter2@db/x", "control character in user", "remove it"),
        ("postgresql://me:hunter2", "no port where host 1", "%3A"),
        ("postgresql://me@a,b:hunter2/x", "no port where host 2", "65535"),
        ("postgresql://me@a:0/x", "no port", "65535"),
        ("postgresql://me@a,,b/x", "no host where host 2", "IPv6"),
        ("postgresql://me@[hunter2]/x", "no host where host 1", "[]"),
        ("postgresql://me@[::1]hunter2/x", "no host where host 1", "[]"),
        ("postgresql://me@hünter2/x", "no host where host 1", "name"),
        ("postgresql://me@/x", "no host", "?host=/"),
        ("postgresql://db/x", "no user", "user@host"),
        ("postgresql://me@db/x?host=other", "two places", "either"),
        ("postgresql://me@db/x?port=7", "two places", "either"),
        ("postgresql://me@/x?host=a,b,c&port=7,8", "3 hosts and 2 ports", "one for each"),
        ("postgresql://me@db/x?user=you", "user twice", "once"),
        ("postgresql://me@db/x?sslkey=/a&sslkey=/b", "sslkey twice", "once"),
        ("postgresql://me@db/x?sslmod=require", "'sslmod'", "sslmode, sslrootcert"),
        ("postgresql://me@db/x?Hunter2=1", "unknown parameter;", "there are"),
        ("postgresql://me@db/x?password=hunter2", "'password'", "password_file"),
        ("postgresql://me@db/x?sslmode", "without a value", "name=value"),
        ("postgresql://me@db/x?sslcert=/c", "one of sslcert and sslkey", "both"),
        ("postgresql://me:hunter2@db/x?passfile=/p", "more than one way", "keep one"),
        ("postgresql://me@db/x?password_file=/a&passfile=/p", "more than one way", "keep one"),
        ("postgresql://me@db/x?sslmode=disable", "clear text", "verify-full"),
        ("postgresql://me@db/x?sslmode=prefer", "clear text", "verify-full"),
        ("postgresql://me@localhost,db/x?sslmode=prefer", "clear text", "verify-full"),
        ("postgresql://me@db/x?sslmode=allow", "unknown sslmode", "verify-full"),
        ("postgresql://me@::1/x?sslmode=on", "no host", "[]"),
        ("postgresql://me@localhost/x?sslmode=allow", "unknown sslmode", "prefer"),
        ("postgresql://me@db/x?connect_timeout=0", "connect_timeout", "at least 1"),
        ("postgresql://me@db/x?connect_timeout=hunter2", "connect_timeout", "at least 1"),
        ("postgresql://me@db/x?target_session_attrs=any", "target_session_attrs", "read-write"),
    ] {
        let error = read(url).err().unwrap_or_else(|| panic!("{url} is refused"));
        let text = error.to_string();
        assert!(text.contains(problem) && error.mend.contains(mend), "{url}: {text}");
        assert!(!text.to_lowercase().contains("unter"), "{url}: {text}");
    }
}

/// Everything but letters and digits, so that nothing of it has a meaning.
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

fn text() -> impl Strategy<Value = String> {
    "[^\\p{C}]{1,20}"
}

fn a_host() -> impl Strategy<Value = Host> {
    prop_oneof![
        "[a-z0-9][a-z0-9.-]{0,20}".prop_map(Host::Name),
        any::<std::net::Ipv4Addr>().prop_map(|ip| Host::Name(ip.to_string())),
        any::<Ipv6Addr>().prop_map(|ip| Host::Name(ip.to_string())),
        "/[a-z /@,:]{1,20}".prop_map(|path| Host::Socket(PathBuf::from(path.replace(',', "")))),
    ]
}

proptest! {
    #[test]
    fn what_is_written_as_it_should_be_is_read_as_it_was_meant(
        hosts in prop::collection::vec((a_host(), 1..=u16::MAX), 1..5),
        user in text(),
        password in prop::option::of("[^\\x00]{1,20}"),
        name in text(),
        options in prop::option::of(text()),
    ) {
        let host = |(host, port): &(Host, u16)| match host {
            Host::Name(name) if name.contains(':') => format!("[{name}]:{port}"),
            Host::Name(name) => format!("{name}:{port}"),
            Host::Socket(path) => format!("{}:{port}", encoded(&path.to_string_lossy())),
        };
        let places: Vec<String> = hosts.iter().map(host).collect();
        let colon = password.as_ref().map(|it| format!(":{}", encoded(it))).unwrap_or_default();
        let query = options.as_ref().map(|it| format!("?options={}", encoded(it)));
        let url = format!(
            "postgresql://{}{colon}@{}/{}{}",
            encoded(&user), places.join(","), encoded(&name), query.unwrap_or_default()
        );
        let read = read(&url).map_err(|error| TestCaseError::fail(format!("{url}: {error}")))?;
        prop_assert_eq!(read.password.as_ref().map(Secret::expose), password.as_deref());
        prop_assert_eq!((read.hosts, read.user, read.name, read.options), (hosts, user, name, options));
    }

    #[test]
    fn whatever_is_broken_in_a_url_its_password_is_not_shown(
        at in 0..61_usize,
        what in "[@:/?#%&=,\\[\\] a-z0-9]{0,3}",
        removed in 0..3_usize,
    ) {
        let (before, after) = ("postgresql://me:", "@[::1]:5432,b:7/x?sslmode=require&host=c");
        let url = match at.checked_sub(before.len()) {
            // Without the colon, the password is the user's name.
            None => format!("{}{what}{}{SECRET}{after}", &before[..at], &before[at..]),
            Some(at) => {
                let (kept, rest) = after.split_at(at.min(after.len()));
                format!("{before}{SECRET}{kept}{what}{}", &rest[removed.min(rest.len())..])
            }
        };
        let said = match read(&url) {
            Ok(database) => format!("{database} {database:?}"),
            Err(error) => error.to_string(),
        };
        prop_assert!(!said.contains("Hunter2") && !said.contains("secret"), "{url}: {said}");
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*", query in "[a-z=&%@,:/]{0,40}") {
        let _ = (read(&text), read(&format!("postgresql://{text}")));
        let _ = read(&format!("postgresql://me@db/x?{query}"));
    }
}
