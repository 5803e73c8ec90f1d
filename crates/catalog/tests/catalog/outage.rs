//! Does work go on when PostgreSQL restarts, crashes, or a connection is lost at the worst moment; once, and none of it twice?

use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use affectory_catalog::{Account, Catalog, CatalogError, EventOutcome, NewAccount, Role};
use affectory_core::{AnnotationId, FaceId};

use crate::annotating::{annotator, event, given, happy, import_faces, pool_of};
use crate::cluster::Cluster;
use crate::engines::{databases, run_sql};

/// Not keyed by any job: done twice, it is refused.
async fn add_account(catalog: &Catalog, email: &str) -> Result<Account, CatalogError> {
    let new = NewAccount { email, name: "n", role: Role::Annotator, language: "en", password_hash: "" };
    catalog.insert_account(&new, "test", 1).await
}

/// Every account once, and one audit entry for each.
async fn assert_once(catalog: &Catalog, emails: &HashSet<String>) {
    let accounts = catalog.list_accounts().await.unwrap();
    let found: HashSet<String> = accounts.iter().map(|account| account.email.clone()).collect();
    assert_eq!((accounts.len(), &found), (emails.len(), emails));
    assert_eq!(catalog.verify_audit().await.unwrap(), Ok(emails.len() as u64));
}

/// What happens to the next commit that goes through the proxy.
const PASS: u32 = 0;
const LOSE_ANSWER: u32 = 1;
const LOSE_COMMIT: u32 = 2;

/// A way to PostgreSQL that breaks at a commit, before or after the server has it.
fn proxy(server: String, plan: Arc<AtomicU32>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&server).unwrap();
            let (mut from, mut back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let is_cut = Arc::new(AtomicU32::new(0));
            let (plan, cut) = (Arc::clone(&plan), Arc::clone(&is_cut));
            let (mut to_server, mut to_client) = (server, client);
            std::thread::spawn(move || {
                let mut bytes = [0; 16384];
                while let Ok(n) = from.read(&mut bytes) {
                    if n == 0 {
                        break;
                    }
                    if bytes[..n].windows(7).any(|window| window == b"COMMIT\0") {
                        match plan.swap(PASS, Ordering::SeqCst) {
                            LOSE_ANSWER => cut.store(1, Ordering::SeqCst),
                            LOSE_COMMIT => break,
                            _ => {}
                        }
                    }
                    if to_server.write_all(&bytes[..n]).is_err() {
                        break;
                    }
                }
                let _ = to_server.shutdown(Shutdown::Both);
                let _ = from.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let mut bytes = [0; 16384];
                while let Ok(n) = back.read(&mut bytes) {
                    // The server has answered the commit: the client never hears it.
                    if n == 0 || is_cut.load(Ordering::SeqCst) == 1 || to_client.write_all(&bytes[..n]).is_err() {
                        break;
                    }
                }
                let _ = to_client.shutdown(Shutdown::Both);
                let _ = back.shutdown(Shutdown::Both);
            });
        }
    });
    port
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_done_once_and_one_that_never_arrived_is_done_again() {
    let [_, (url, _folder)] = databases("lost_commit").await;
    let (before, rest) = url.split_once('@').unwrap();
    let (server, name) = rest.split_once('/').unwrap();
    let plan = Arc::new(AtomicU32::new(PASS));
    let port = proxy(server.to_owned(), Arc::clone(&plan));
    let catalog = Catalog::connect(&format!("{before}@127.0.0.1:{port}/{name}")).await.unwrap();
    let mut emails = HashSet::new();
    for (n, loss) in [PASS, LOSE_ANSWER, LOSE_COMMIT, LOSE_ANSWER, PASS].into_iter().enumerate() {
        plan.store(loss, Ordering::SeqCst);
        let email = format!("{n}@example.org");
        let account = add_account(&catalog, &email).await.unwrap();
        assert_eq!(plan.load(Ordering::SeqCst), PASS, "no commit went through the proxy");
        assert_eq!(account.email, email);
        emails.insert(email);
    }
    assert_once(&catalog, &emails).await;
}

/// Two that wait for each other's locks: PostgreSQL ends one with 40P01, and it is done again.
#[tokio::test]
async fn a_lost_connection_in_a_reading_is_no_failure() {
    let [_, (url, _folder)] = databases("lost_reading").await;
    let catalog = Catalog::connect(&url).await.unwrap();
    add_account(&catalog, "a@example.org").await.unwrap();
    let end_others = "select pg_terminate_backend(pid) from pg_stat_activity
                      where datname = current_database() and pid <> pg_backend_pid()";
    for _ in 0..3 {
        run_sql(&url, end_others).await;
        assert_eq!(catalog.list_accounts().await.unwrap().len(), 1);
        run_sql(&url, end_others).await;
        assert_eq!(catalog.renew_hosts("w", 1).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn connections_say_who_they_are_and_do_not_wait_for_ever() {
    let [_, (url, _folder)] = databases("settings").await;
    affectory_catalog::name_this_process("affectory test");
    let query = format!("{url}?options=-c%20lock_timeout%3D7s");
    let catalog = Catalog::connect(&query).await.unwrap();
    assert_eq!(catalog.count_accounts().await.unwrap(), 0);
    let said = "do $$ begin
        assert (select count(*) from pg_stat_activity where application_name = 'affectory test'
                and datname = current_database()) > 0, 'no name';
        end $$";
    run_sql(&url, said).await;
    // A lock that somebody holds: an error after 7 s, as the URL says, and not after the program's own minute.
    let began = std::time::Instant::now();
    let holding = url.clone();
    let holder = tokio::spawn(async move {
        run_sql(&holding, "begin; lock table host in exclusive mode; select pg_sleep(12); commit").await;
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let refused = catalog.renew_hosts("w", 1).await;
    assert!(matches!(refused, Err(CatalogError::Database { .. })), "{refused:?}");
    assert!((6..11).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    holder.await.unwrap();
    let error = Catalog::connect("postgres://nobody@127.0.0.1:1/none").await.unwrap_err();
    assert!(matches!(error, CatalogError::Database { action: "open the database", .. }));
}

/// Three times out of four in the middle of everything.
async fn crash(cluster: &Arc<Cluster>) {
    for mode in ["immediate", "fast", "immediate", "immediate"] {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let cluster = Arc::clone(cluster);
        tokio::task::spawn_blocking(move || cluster.control(&["restart", "--mode", mode])).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// Their transactions let the next one begin before the disk has them: what is acknowledged is there all the same.
#[tokio::test(flavor = "multi_thread")]
async fn annotators_at_two_servers_lose_no_answer_over_crashes_of_the_database() {
    let cluster = Arc::new(Cluster::start());
    let servers = [Catalog::connect(&cluster.url()).await.unwrap(), Catalog::connect(&cluster.url()).await.unwrap()];
    import_faces(&servers[0], 20_000).await;
    let pool_id = pool_of(&servers[0], (1..=20_000).map(|face| (face, face))).await;
    let is_over = Arc::new(AtomicU32::new(0));
    let mut annotators = Vec::new();
    for (number, server) in (0..6).zip(servers.iter().cycle()) {
        let annotator_id = annotator(server, &number.to_string()).await;
        let (server, is_over) = (server.clone(), Arc::clone(&is_over));
        annotators.push(tokio::spawn(async move {
            let mut answered = Vec::new();
            while is_over.load(Ordering::SeqCst) == 0 {
                let face = given(&server, pool_id, annotator_id, 1, 10).await[0];
                let event = event(&format!("{annotator_id}/{face}"), pool_id, annotator_id, face, happy());
                let outcome = server.record_events(&[event]).await.unwrap().remove(0);
                // Repeated: it was done again because the first acknowledgement was lost.
                assert!(matches!(outcome, EventOutcome::Recorded(_) | EventOutcome::Repeated), "{outcome:?}");
                answered.push((annotator_id, FaceId(face)));
            }
            answered
        }));
    }
    crash(&cluster).await;
    is_over.store(1, Ordering::SeqCst);
    let mut acknowledged = Vec::new();
    for annotator in annotators {
        acknowledged.extend(annotator.await.unwrap());
    }
    let log = servers[0].list_ratings(AnnotationId(0), 100_000).await.unwrap();
    let mut found: Vec<_> = log.iter().map(|row| (row.annotator_id, row.face_id)).collect();
    found.sort_unstable();
    acknowledged.sort_unstable();
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    assert_eq!(found, acknowledged);
    let mut n_of_face = HashMap::new();
    found.iter().for_each(|(_, face)| *n_of_face.entry(face).or_insert(0) += 1);
    assert!(n_of_face.values().all(|n| *n <= 2), "none has more annotators than it wants");
    for server in servers {
        server.close().await;
    }
}

/// Six workers write while the server crashes and comes back, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn workers_go_on_over_crashes_of_the_server_and_nothing_is_lost_or_done_twice() {
    let cluster = Arc::new(Cluster::start());
    let catalog = Catalog::connect(&cluster.url()).await.unwrap();
    let is_over = Arc::new(AtomicU32::new(0));
    let workers = (0..6).map(|worker| {
        let (catalog, is_over) = (catalog.clone(), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut emails = Vec::new();
            while is_over.load(Ordering::SeqCst) == 0 {
                let email = format!("{worker}-{}@example.org", emails.len());
                add_account(&catalog, &email).await.unwrap();
                emails.push(email);
            }
            emails
        })
    });
    let workers: Vec<_> = workers.collect();
    crash(&cluster).await;
    is_over.store(1, Ordering::SeqCst);
    let mut emails = HashSet::new();
    for worker in workers {
        emails.extend(worker.await.unwrap());
    }
    assert!(emails.len() > 50, "{}", emails.len());
    assert_once(&catalog, &emails).await;
    catalog.close().await;
}
