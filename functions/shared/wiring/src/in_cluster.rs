//! A function that is told with each call where the API server is.

use std::cell::RefCell;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;
use tidegate_aws::EksLogin;
use tidegate_domain::api_server::ApiServer;
use tidegate_domain::error::Result;
use tidegate_kubernetes::Cluster;
use tidegate_lambda::{Call, Reply, Serve, Settings};

/// The part of a call that is read here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    api_server: ApiServer,
}

/// A function in the cluster. It is made at the first call, and made again where the API server has moved.
pub struct InCluster<Make, F> {
    function: &'static str,
    login: EksLogin,
    settings: Settings,
    make: Make,
    made: RefCell<Option<(ApiServer, Rc<F>)>>,
}

/// The region that this process runs in: set by Lambda itself.
pub fn region(settings: &Settings) -> Result<String> {
    settings.text("AWS_REGION")
}

/// The EKS login of this process's role at that cluster.
pub fn login(settings: &Settings, cluster: &str) -> Result<EksLogin> {
    Ok(EksLogin::from_environment(&region(settings)?, cluster))
}

/// Connects a function to an API server; no request is made yet.
pub fn connect(function: &'static str, api_server: &ApiServer, login: EksLogin) -> Result<Cluster> {
    Cluster::connect(
        function,
        &api_server.endpoint,
        api_server.certificate_authority.as_bytes(),
        move |refused| login.token(refused),
    )
}

impl<Make, F> InCluster<Make, F>
where
    Make: Fn(&Settings, Cluster) -> Result<F>,
{
    pub(super) const fn new(function: &'static str, login: EksLogin, settings: Settings, make: Make) -> Self {
        Self {
            function,
            login,
            settings,
            make,
            made: RefCell::new(None),
        }
    }

    fn at(&self, api_server: ApiServer) -> Result<Rc<F>> {
        let made = self.made.borrow().clone();
        if let Some((_, function)) = made.filter(|(known, _)| *known == api_server) {
            return Ok(function);
        }
        let cluster = connect(self.function, &api_server, self.login.clone())?;
        let function = Rc::new((self.make)(&self.settings, cluster)?);
        self.made.replace(Some((api_server, Rc::clone(&function))));
        Ok(function)
    }
}

impl<Make, F> Serve for InCluster<Make, F>
where
    Make: Fn(&Settings, Cluster) -> Result<F>,
    F: Serve,
{
    async fn serve(&self, payload: Value) -> Result<Reply> {
        let Told { api_server } = Call::read(&payload)?;
        let function = self.at(api_server)?;
        // Each future around another makes the compiler look one level deeper; a box ends that.
        Box::pin(function.serve(payload)).await
    }
}
