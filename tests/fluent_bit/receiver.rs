//! Where the records arrive: a TCP server for JSON lines.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Arrived {
    records: HashMap<String, Vec<Duration>>,
    health: HashMap<String, u64>,
}

pub(crate) struct Receiver {
    port: u16,
    began: Instant,
    arrived: Arc<Mutex<Arrived>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let (began, arrived) = (Instant::now(), Arc::<Mutex<Arrived>>::default());
        let shared = Arc::clone(&arrived);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || read(stream, began, &shared));
            }
        });
        Self { port, began, arrived }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// When each record arrived, by id.
    pub(crate) fn arrivals(&self) -> HashMap<String, Vec<Duration>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).records.clone()
    }

    /// How many health records of each kind arrived.
    pub(crate) fn health(&self) -> HashMap<String, u64> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).health.clone()
    }
}

fn read(stream: TcpStream, began: Instant, arrived: &Mutex<Arrived>) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let Ok(record) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = ["id", "Id", "uuid", "_document_id"];
        if let Some(id) = ids.iter().find_map(|name| record[name].as_str()) {
            arrived.records.entry(id.to_owned()).or_default().push(began.elapsed());
        } else if let Some(event) = record["lookback"]["event"].as_str() {
            *arrived.health.entry(event.to_owned()).or_default() += 1;
        }
    }
}
