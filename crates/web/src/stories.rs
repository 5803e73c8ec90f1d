//! Where do stories about the server take place? In a project with two drawn faces, a pool, and one account a role.

mod access;
mod annotating;
mod challenge;
mod hostile;
mod operations;
mod portal;
mod said;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use affectory_catalog::{
    Account, ImportItem, NewAccount, NewFace, NewImage, NewPoolFace, NewSighting, PoolRules, PoolState, Project,
    ProjectConfig, Role, Strategy,
};
use affectory_core::{BoundingBox, Expression, FaceId, PoolId};
use affectory_portal::{PortalSettings, TEMPLATE};
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use tower::ServiceExt as _;

use crate::app::{App, Patience, Portal, ServeOptions, token_hash};
use crate::passwords::hash_password;
use crate::server::{Peer, application};

/// The time at which everything happens, ms UTC.
const NOW_MS: i64 = 1_800_000_000_000;

const PASSWORD: &str = "correct horse battery";

struct Lab {
    app: Arc<App>,
    pool: PoolId,
    _folder: tempfile::TempDir,
}

/// What somebody's browser sends along.
struct Browser {
    token: String,
    csrf: String,
}

impl Lab {
    async fn new() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::init(&folder.path().join("p"), ProjectConfig::default()).await.unwrap();
        for n in 0..2 {
            let drawn = affectory_synthetic::draw(Expression::Happy, n, 64);
            let png = affectory_imaging::encode_png(&drawn.image).unwrap();
            let item = ImportItem {
                image: NewImage {
                    sha256: project.store.put(png.into()).await.unwrap(),
                    phash: affectory_imaging::perceptual_hash(&drawn.image),
                    width: 64,
                    height: 64,
                    format: "png".into(),
                    size_bytes: 1,
                },
                sighting: NewSighting {
                    source: "s".into(),
                    path: n.to_string(),
                    page_url: None,
                    license: None,
                    given_split: None,
                },
                faces: vec![NewFace {
                    bounding_box: BoundingBox::new(8.0, 8.0, 48.0, 48.0).unwrap(),
                    landmarks: None,
                    annotations: vec![],
                }],
            };
            project.catalog.record_import(&[item], NOW_MS).await.unwrap();
        }
        let count = AtomicU64::new(1);
        let options = ServeOptions {
            clock: Arc::new(|| NOW_MS),
            random: Arc::new(move || {
                let n = count.fetch_add(1, Ordering::Relaxed);
                std::array::from_fn(|place| (n >> (8 * (place % 8))) as u8)
            }),
            patience: Patience {
                headers: Duration::from_millis(300),
                request: Duration::from_millis(600),
                upload: Duration::from_millis(600),
            },
            public_url: None,
            portal: Some(Arc::new(Portal {
                settings: PortalSettings::parse(TEMPLATE).unwrap(),
                mailer: None,
                program: "no-such-program".into(),
                base: "http://lab".into(),
            })),
        };
        let lab = Lab {
            pool: pool_of(&project, "pool", false).await,
            app: App::new(project, options).unwrap(),
            _folder: folder,
        };
        for role in Role::ALL {
            lab.account(role.name(), role.name(), role).await;
        }
        lab
    }

    /// An account `EMAIL@lab.org` with [`PASSWORD`].
    async fn account(&self, email: &str, name: &str, role: Role) -> Account {
        let hash = hash_password(PASSWORD, [7; 32]).unwrap();
        let email = format!("{email}@lab.org");
        let new = NewAccount { email: &email, name, role, language: "en", password_hash: &hash };
        self.app.project.catalog.insert_account(&new, "test", NOW_MS).await.unwrap()
    }

    /// Signs the account of a role in.
    async fn browser(&self, role: Role) -> Browser {
        let accounts = self.app.project.catalog.list_accounts().await.unwrap();
        let account = accounts.into_iter().find(|account| account.role == role).unwrap();
        let token = self.app.token();
        let hash = token_hash(&token);
        self.app.project.catalog.open_session(&account, &hash, NOW_MS + 1_000, NOW_MS).await.unwrap();
        Browser { csrf: crate::access::csrf_of(&token), token }
    }

    async fn send(&self, request: Request<Body>) -> Response {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(Peer("127.0.0.1:9".parse().unwrap()));
        application(&self.app).oneshot(Request::from_parts(parts, body)).await.unwrap()
    }

    async fn get(&self, path: &str, browser: &Browser) -> (StatusCode, String) {
        let request = Request::get(path).header("cookie", format!("affectory={}", browser.token));
        text(self.send(request.body(Body::empty()).unwrap()).await).await
    }

    /// Sends a form, its CSRF token included.
    async fn post(&self, path: &str, fields: &[(&str, &str)], browser: &Browser) -> (StatusCode, String) {
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", browser.csrf.as_str())]).collect();
        let request = Request::post(path)
            .header("cookie", format!("affectory={}", browser.token))
            .header("content-type", "application/x-www-form-urlencoded");
        text(self.send(request.body(Body::from(serde_urlencoded::to_string(fields).unwrap())).unwrap()).await).await
    }

    async fn api(&self, path: &str, body: serde_json::Value, browser: &Browser) -> (StatusCode, serde_json::Value) {
        let request = Request::post(path)
            .header("cookie", format!("affectory={}", browser.token))
            .header("x-csrf-token", &browser.csrf)
            .header("content-type", "application/json");
        let (status, body) = text(self.send(request.body(Body::from(body.to_string())).unwrap()).await).await;
        (status, serde_json::from_str(&body).unwrap_or_default())
    }
}

async fn pool_of(project: &Project, name: &str, is_assisted: bool) -> PoolId {
    let rules = PoolRules {
        n_annotators: 1,
        overlap_percent: 0,
        gold_percent: 0,
        strategy: Strategy::Random,
        is_balanced: false,
        is_assisted,
        needs_quiz: false,
        seed: 1,
    };
    let pool = project.catalog.insert_pool(name, &rules, None, NOW_MS).await.unwrap();
    let faces = [1, 2].map(|face| NewPoolFace {
        face_id: FaceId(face),
        place: face,
        look_id: FaceId(face),
        category: None,
        n_wanted: 1,
    });
    project.catalog.insert_pool_faces(pool, &faces).await.unwrap();
    project.catalog.set_pool_state(pool, PoolState::Open, "test", NOW_MS).await.unwrap();
    pool
}

async fn text(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let body = to_bytes(response.into_body(), 4 << 20).await.unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn request(method: &Method, path: &str, browser: Option<&Browser>) -> axum::http::request::Builder {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(browser) = browser {
        request =
            request.header("cookie", format!("affectory={}", browser.token)).header("x-csrf-token", &browser.csrf);
    }
    request
}
