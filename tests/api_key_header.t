#!/usr/bin/perl

# tollgate_api_key_header: where keys are looked for, and that just those headers are kept from the
# backend.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get hs256 keys_file status /;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(36);

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone             zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier             free { }
    tollgate_api_keys         keys.json;
    tollgate_default_tier     free;

    tollgate_api_key_header   Api-Key;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;

        location /inherited {
            proxy_pass http://127.0.0.1:8081;
        }

        location /own {
            # any case; the names above hold no longer
            tollgate_api_key_header X-GOOG-api-key x-Token;
            proxy_pass http://127.0.0.1:8081;

            location /own/nested {
                proxy_pass http://127.0.0.1:8081;
            }

            location /own/bearer {
                tollgate_api_key_header authorization;
                proxy_pass http://127.0.0.1:8081;
            }

            location /own/cookie {
                tollgate_api_key_header Cookie;
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location /jwt {
            tollgate_auth          api_key jwt;
            tollgate_jwt_key_file  secret;
            proxy_pass http://127.0.0.1:8081;
        }

        location /jwt/only {
            tollgate_auth          jwt;
            tollgate_jwt_key_file  secret;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        # a level of its own, between http and location
        tollgate                 on;
        tollgate_api_key_header  X-Server-Key;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "$http_x_client_id:$http_authorization:$http_x_api_key:$http_api_key:$http_x_goog_api_key:$http_x_token:$http_cookie";
        }
    }
}

EOF

my $secret = 'a secret of thirty-two bytes or more';
my $token = hs256($secret, { sub => 'bob', exp => time() + 3600 });

$t->write_file('keys.json', keys_file({ key => 'tg_acme', client => 'acme' }));
$t->write_file('secret', $secret);
$t->run();

###############################################################################

# names in place of the default ones

is(backend('/inherited', 'Api-Key: tg_acme'), 'acme::::::', 'named');
is(backend('/inherited', 'API-KEY: tg_acme'), 'acme::::::', 'named, other case');
is(status(get('/inherited', 'X-API-Key: tg_acme')), 401, 'default name');
is(status(get('/inherited', 'Authorization: Bearer tg_acme')), 401, 'default bearer');
is(status(get('/inherited', 'Api_Key: tg_acme')), 401, 'other spelling');
is(status(get('/inherited', 'Api-Key: Bearer tg_acme')), 401, 'no scheme in such a header');
is(status(get('/inherited', 'Api-Key: tg_acme', 'Api-Key: tg_x')), 400, 'two different');

# what isn't looked at isn't a second credential, either, and reaches the backend

is(backend('/inherited', 'Api-Key: tg_acme', 'Authorization: Bearer upstream', 'X-API-Key: up'),
	'acme:Bearer upstream:up::::', 'other headers pass');

# levels

is(backend('/own', 'x-goog-api-key: tg_acme'), 'acme::::::', 'location');
is(backend('/own', 'X-Token: tg_acme'), 'acme::::::', 'location, second name');
is(backend('/own', 'X-Token: tg_acme', 'X-Goog-Api-Key: tg_acme'), 'acme::::::', 'the same in both');
is(status(get('/own', 'X-Token: tg_acme', 'X-Goog-Api-Key: tg_x')), 400, 'different in both');
is(status(get('/own', 'Api-Key: tg_acme')), 401, 'name of the level above');
is(backend('/own', 'X-Token: tg_acme', 'Api-Key: passes'), 'acme:::passes:::', 'it passes');
is(backend('/own/nested', 'X-Token: tg_acme'), 'acme::::::', 'inherited by a nested location');
is(status(get('/own/nested', 'Api-Key: tg_acme')), 401, 'nested, name of the level above');

my %server = (PeerAddr => '127.0.0.1:' . port(8082));
my $request = "GET / HTTP/1.0\nHost: localhost\n";
is(http_content(http("${request}X-Server-Key: tg_acme\n\n", %server)), 'acme::::::', 'server');
is(status(http("${request}Api-Key: tg_acme\n\n", %server)), 401, 'server, name of http');

# Authorization keeps its form under any name

is(backend('/own/bearer', 'Authorization: Bearer tg_acme'), 'acme::::::', 'bearer by name');
is(status(get('/own/bearer', 'Authorization: tg_acme')), 401, 'bearer by name, no scheme');
is(status(get('/own/bearer', 'X-API-Key: tg_acme')), 401, 'bearer alone');
is(backend('/own/cookie', 'Cookie: tg_acme', 'X-Other: 1'), 'acme::::::', 'a header nginx knows');
is(status(get('/own/cookie', 'Cookie: a=tg_acme')), 401, 'its whole value');

# tokens come in Authorization wherever keys are

is(backend('/jwt', "Authorization: Bearer $token"), 'bob::::::', 'token');
is(backend('/jwt', 'Api-Key: tg_acme'), 'acme::::::', 'key beside tokens');
is(status(get('/jwt', 'Authorization: Bearer tg_acme')), 401, 'key where only tokens are');
is(backend('/jwt', 'Authorization: Bearer tg_acme', 'Api-Key: tg_acme'), 'acme::::::',
	'the same key where it belongs, too');
is(status(get('/jwt', "Api-Key: $token")), 401, 'a token is no key');
is(status(get('/jwt', "X-API-Key: $token")), 401, 'a header that is not looked at');
is(backend('/jwt', "Authorization: Bearer $token", "Api-Key: $token"), 'bob::::::', 'token twice');
is(status(get('/jwt', "Authorization: Bearer $token", 'Api-Key: tg_acme')), 400, 'token and key');

# where keys aren't accepted, their headers mean nothing

is(backend('/jwt/only', "Authorization: Bearer $token", 'Api-Key: passes', 'X-API-Key: too'),
	'bob::too:passes:::', 'token only');
is(status(get('/jwt/only', 'Api-Key: tg_acme')), 401, 'token only, key');
is(status(get('/jwt/only', 'Authorization: Bearer tg_acme')), 401, 'token only, key as bearer');

# a header that is ours is taken off whatever it says

is(backend('/own/bearer', 'Authorization: Bearer tg_acme', 'X-API-Key: passes'), 'acme::passes::::',
	'only what is named is taken off');
is(backend('/jwt', 'Authorization: Basic YTpi', 'Api-Key: tg_acme'), 'acme::::::',
	'another scheme is taken off as well');

###############################################################################

sub backend {
	my ($uri, @lines) = @_;
	return http_content(get($uri, @lines));
}

###############################################################################
