//! `window: auto`, in the built library.

use crate::bench::{Bench, stream, with};

#[test]
fn a_window_that_follows_the_lateness_shows_itself_in_health_and_metrics_and_goes_on_after_a_restart()
 {
    let bench = Bench::new(stream());
    let path = bench.path("small_pages.yaml");
    let narrow = std::fs::read_to_string(&path).unwrap().replace("window: 20m", "window: 1s");
    let definition = bench.write("narrow.yaml", &narrow);
    let input = || {
        let input = with(bench.input("in"), "api", &definition);
        with(with(input, "window", "auto"), "sweeps", "12s/4s")
    };
    let host = bench.start(vec![input()]);
    let window = |host: &crate::embedded::Host| {
        host.instance("in").metrics.sum("lookback_window_seconds", &[])
    };
    // Twice the interval; records come up to two seconds late.
    bench.wait(&host, "a wider window", || bench.has_health("window_widened"));
    bench.wait(&host, "its metric", || window(&host) >= Some(3.0));
    assert!(bench.has_logged("window=[auto from 2s, up to 12s]"), "{:#?}", bench.log());
    let (started, wider) =
        (bench.health_seconds("started"), bench.health_seconds("window_widened"));
    assert_eq!(started[0], 2.0);
    assert!(wider[0] >= 3.0 && wider[0] <= 12.0, "{wider:?}");
    bench.stop(host);
    let host = bench.start(vec![input()]);
    bench.wait(&host, "the next start", || bench.health_seconds("started").len() == 2);
    assert!(bench.health_seconds("started")[1] >= 3.0, "{:?}", bench.health_seconds("started"));
    bench.finish(host, "in");
}
