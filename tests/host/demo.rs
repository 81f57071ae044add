//! `lookback demo` as a newcomer runs it, but shorter: a story without its outage.

use std::collections::HashMap;
use std::process::Command;

use crate::bench::plugin;
use crate::crash::TOOL;

#[test]
fn the_demo_shows_that_lookback_alone_loses_nothing() {
    let mut command = Command::new(TOOL);
    command
        .args(["demo", "--duration", "8s", "--rate", "50", "--seed", "1", "--plugin"])
        .arg(plugin());
    let output = command.output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!shown.contains('\x1b'), "colours are for terminals");

    let table = &shown[shown.rfind("doubled ").expect("a table")..];
    let rows: HashMap<&str, Vec<u64>> = ["adjacent slices", "a script's window", "lookback"]
        .into_iter()
        .map(|name| {
            let row = table.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            let figures = row.split_whitespace().map(|figure| figure.replace(',', ""));
            (name, figures.filter_map(|figure| figure.parse().ok()).collect())
        })
        .collect();
    let [delivered, lost, doubled, _requests] = rows["lookback"][..] else { panic!("{table}") };
    assert!(delivered >= 8 * 50 - 1, "{table}");
    assert_eq!((lost, doubled), (0, 0), "{table}");
    // With this seed some events show a second after they happened, and some after more than the script's window.
    assert!(rows["adjacent slices"][1] > 0, "{table}");
    assert!(rows["a script's window"][1] > 0, "{table}");
}
