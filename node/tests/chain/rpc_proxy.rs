//! An RPC in front of a real one, with moods. It speaks as much HTTP as the follower's client does: one request per
//! connection, with its length in front.

#![allow(dead_code)] // Each test binary uses its part.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

/// How it treats requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As the real one.
    Answers,
    /// Closes the connection.
    Refuses,
    /// Keeps the connection and says nothing.
    Hangs,
    /// Answers with something that is no JSON.
    Garbles,
    /// Has no logs of any block.
    OmitsLogs,
    /// Has logs for so many blocks at once and no more.
    TakesRangesOf(u64),
    /// Names as the head a block so far below it.
    IsBehind(u64),
    /// Says that its head is so much higher than it is.
    Boasts(u64),
    /// Estimates by its newest block, whatever waits for the next one.
    ForgetsPending,
}

/// Ends with its handle.
pub(crate) struct RpcProxy {
    url: Url,
    state: Arc<State>,
    _task: JoinSet<()>,
}

struct State {
    mood: watch::Sender<Mood>,
    target: Mutex<Url>,
    requests: watch::Sender<u64>,
    lowest: AtomicU64,
    client: reqwest::Client,
}

impl RpcProxy {
    /// Starts one that answers.
    pub(crate) async fn start(target: Url) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let state = Arc::new(State {
            mood: watch::channel(Mood::Answers).0,
            target: Mutex::new(target),
            requests: watch::channel(0).0,
            lowest: AtomicU64::new(u64::MAX),
            client: reqwest::Client::new(),
        });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&state)));
        Self { url, state, _task: task }
    }

    pub(crate) fn url(&self) -> Url {
        self.url.clone()
    }

    /// From the next request on; those that hang are dropped. Forgets which blocks were asked for.
    pub(crate) fn set(&self, mood: Mood) {
        self.state.lowest.store(u64::MAX, Ordering::SeqCst);
        self.state.mood.send_replace(mood);
    }

    /// From the next request on.
    pub(crate) fn turn_to(&self, target: Url) {
        *self.state.target.lock().unwrap() = target;
    }

    /// Waits for so many more requests.
    pub(crate) async fn requests(&self, more: u64) {
        let mut requests = self.state.requests.subscribe();
        let enough = *requests.borrow() + more;
        let seen = tokio::time::timeout(super::PATIENCE, requests.wait_for(|count| *count >= enough)).await;
        seen.expect("the RPC is asked").unwrap();
    }

    /// The lowest block whose logs were asked for.
    pub(crate) fn lowest_block_asked_for(&self) -> u64 {
        self.state.lowest.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        // Whoever hangs up early is no matter of ours.
        connections.spawn(async move { drop(answer(connection, &state).await) });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(mut connection: TcpStream, state: &State) -> std::io::Result<()> {
    let body = read_body(&mut connection).await?;
    let mut mood = state.mood.subscribe();
    let now = *mood.borrow_and_update();
    state.requests.send_modify(|count| *count += 1);
    let answer = match now {
        Mood::Refuses => return Ok(()),
        Mood::Hangs => {
            let _ = mood.changed().await;
            return Ok(());
        }
        Mood::Garbles => "<html>bad gateway</html>".to_owned(),
        Mood::Answers
        | Mood::OmitsLogs
        | Mood::TakesRangesOf(_)
        | Mood::IsBehind(_)
        | Mood::Boasts(_)
        | Mood::ForgetsPending => {
            let mut request: Value = serde_json::from_slice(&body)?;
            if now == Mood::ForgetsPending && request["method"] == "eth_estimateGas" {
                request["params"] = json!([request["params"][0], "latest"]);
            }
            let own = match of_its_own(now, &request, state) {
                None => of_the_head(now, &request, state).await?,
                own => own,
            };
            match own {
                Some(answer) => answer.to_string(),
                None => forward(request.to_string().into_bytes(), state).await?,
            }
        }
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    connection.write_all(head.as_bytes()).await?;
    connection.write_all(answer.as_bytes()).await
}

async fn forward(body: Vec<u8>, state: &State) -> std::io::Result<String> {
    let target = state.target.lock().unwrap().clone();
    let request = state.client.post(target).header("content-type", "application/json").body(body);
    let answer = async { request.send().await?.text().await };
    answer.await.map_err(std::io::Error::other)
}

/// What a mood makes of a question for the head.
async fn of_the_head(mood: Mood, request: &Value, state: &State) -> std::io::Result<Option<Value>> {
    let lies = matches!(mood, Mood::IsBehind(_) | Mood::Boasts(_));
    if !lies || request["method"] != "eth_getBlockByNumber" || request["params"][0] != "latest" {
        return Ok(None);
    }
    let ask = async |request: &Value| -> std::io::Result<Value> {
        Ok(serde_json::from_str(&forward(request.to_string().into_bytes(), state).await?)?)
    };
    let mut head = ask(request).await?;
    let number = head["result"]["number"].as_str().and_then(|it| u64::from_str_radix(&it[2..], 16).ok());
    let number = number.ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(match mood {
        Mood::IsBehind(blocks) => {
            let mut older = request.clone();
            older["params"][0] = json!(format!("{:#x}", number.saturating_sub(blocks)));
            Some(ask(&older).await?)
        }
        Mood::Boasts(blocks) => {
            head["result"]["number"] = json!(format!("{:#x}", number + blocks));
            Some(head)
        }
        _ => None,
    })
}

/// What a mood makes of a request for logs.
fn of_its_own(mood: Mood, request: &Value, state: &State) -> Option<Value> {
    if request["method"] != "eth_getLogs" {
        return None;
    }
    let number = |field| u64::from_str_radix(request["params"][0][field].as_str()?.trim_start_matches("0x"), 16).ok();
    let (from, to) = (number("fromBlock")?, number("toBlock")?);
    state.lowest.fetch_min(from, Ordering::SeqCst);
    let id = &request["id"];
    match mood {
        Mood::OmitsLogs => Some(json!({ "jsonrpc": "2.0", "id": id, "result": [] })),
        Mood::TakesRangesOf(most) if to - from + 1 > most => {
            let error = json!({ "code": -32005, "message": "query returned more than 10000 results" });
            Some(json!({ "jsonrpc": "2.0", "id": id, "error": error }))
        }
        _ => None,
    }
}

async fn read_body(connection: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let length = String::from_utf8_lossy(&bytes[..head]).lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            let mut body = bytes.split_off(head + 4);
            let read = body.len();
            body.resize(length.unwrap_or(read), 0);
            connection.read_exact(&mut body[read..]).await?;
            return Ok(body);
        }
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
