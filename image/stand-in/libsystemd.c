/* wpa_supplicant's libdbus names libsystemd for sockets that systemd hands on. There is no systemd here, and no bus: these
   two answers take the place of seven libraries, 1.2 MB of an image. image/build.py looks whether two are still enough. */
int sd_listen_fds(int unset_environment) { (void)unset_environment; return 0; }
int sd_is_socket(int fd, int family, int type, int listening) { (void)fd, (void)family, (void)type, (void)listening; return 0; }
