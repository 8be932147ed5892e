//! Routes that a person signs in for, and where.

use super::{Node, Reader, is_plain, secrets, values};
use crate::{
    pairs::Pairs,
    proto::{
        http::Url,
        oauth::{Client, Grant, Provider},
    },
};
use std::rc::Rc;

impl Reader {
    /// The services of the configuration, by name.
    pub(super) fn services(&mut self, node: &Node) -> Pairs<String, Provider> {
        let mut services = Pairs::new();
        for node in self.items(node) {
            let name_node = node.child("name");
            let built_in = |name: &String| Provider::built_in(name).is_some();
            let name = |text: &str| values::user_name(text).filter(|name| !built_in(name));
            let name = self.text(&name_node, name);
            let authorize = self.text(&node.child("authorize"), Url::parse);
            let token = self.text(&node.child("token"), Url::parse);
            let device = self.text(&node.child("device"), Url::parse);
            let scope = self.text(&node.child("scope"), visible);
            let (Some(name), Some(authorize), Some(token)) = (name, authorize, token) else {
                continue;
            };
            let provider = Provider { authorize, token, device, scope: scope.unwrap_or_default() };
            if services.contains_key(&name) {
                self.problem(&name_node, format!("{name:?} again"), "each name once");
            }
            services.insert(name, provider);
        }
        services
    }

    /// The sign-in of a route. It has a user, a client, and nothing else that proves it.
    pub(super) fn grant(
        &mut self,
        route: &Node,
        services: &Pairs<String, Provider>,
    ) -> Option<Rc<Grant>> {
        let (oauth, id_node) = (route.child("oauth"), route.child("client_id"));
        let secret_node = route.child("client_secret");
        let known = |text: &str| {
            let name = text.to_ascii_lowercase();
            services.get(&name).cloned().or_else(|| Provider::built_in(&name))
        };
        let provider = self.text(&oauth, known);
        let id = self.text(&id_node, visible);
        let secret = self.secret(&secret_node, secrets::is_client);
        if oauth.value.is_none() {
            for (node, name) in [(&id_node, "client_id"), (&secret_node, "client_secret")] {
                if node.value.is_some() {
                    self.problem(node, format!("a {name} without oauth"), "both, or neither");
                }
            }
            return None;
        }
        for other in ["password", "token"] {
            if route.child(other).value.is_some() {
                let found = format!("oauth beside a {other}");
                self.problem(&oauth, found, "one of password, token and oauth");
            }
        }
        let user_node = route.child("user");
        if user_node.value.is_none() {
            self.problem(&user_node, "nothing", "the user who signs in");
        }
        if id_node.value.is_none() {
            let allowed = "the client id that the sign-in service gave for this relay";
            self.problem(&id_node, "nothing", allowed);
        }
        let user = user_node.text().filter(|user| is_plain(user))?.to_string();
        Some(Rc::new(Grant { provider: provider?, client: Client { id: id?, secret }, user }))
    }
}

fn visible(text: &str) -> Option<String> {
    Some(text.to_string()).filter(|text| secrets::is_client(text))
}
