#!/usr/bin/perl

# Blocks in the location of a page (if, limit_except) are the page as well, and what another directive answers is
# never judged as one.

use warnings;
use strict;

use Test::More;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get keys_file status/;
use Tollgate::Conf;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# Secrets are nobody else's business.
umask 077;

my $t = Test::Nginx->new()->has(qw/http access proxy rewrite/);

$t->write_file('keys.json', keys_file(
	{ key => 'key-admin', client => 'operator', scopes => ['admin'], tier => 'free' },
	{ key => 'key-acme', client => 'acme', tier => 'free' },
));

my $on = "tollgate on;\ntollgate_api_keys keys.json;";
my @refused = map {
	[$_, [qq("$_"), 'proxy_pass', 'location of its own'],
		location => "$on\n$_;\nproxy_pass http://127.0.0.1:8081;"],
} qw/tollgate_usage tollgate_status tollgate_metrics/;

$t->plan(@refused + 11);

###############################################################################

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_tier      free { requests 2r/h; }
    tollgate_api_keys  keys.json;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate  on;

        location /usage {
            if ($arg_if) {
                set $seen 1;
            }
            tollgate_usage;
        }

        location /status {
            if ($arg_if) {
                set $seen 1;
            }
            tollgate_status;
        }

        location /except {
            tollgate_usage;
            limit_except POST {
                allow  127.0.0.1;
                deny   all;
            }
        }

        location /v1/models {
            if ($arg_if) {
                proxy_pass  http://127.0.0.1:8081;
            }
            tollgate_usage;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        return 200 engine;
    }
}

EOC

$t->run();

like(look('/usage', 'acme'), qr/ 200 .*"client":"acme"/s, 'page beside an if');
like(look('/usage?if=1', 'acme'), qr/ 200 .*"client":"acme"/s, 'page in an if');
is(status(look('/usage?if=1')), 401, 'page in an if, for nobody');
like(look('/status?if=1', 'admin'), qr/ 200 .*"workers"/s, 'page for operators in an if');
is(status(look('/status?if=1', 'acme')), 403, 'page for operators in an if, for another client');
like(look('/except', 'acme'), qr/ 200 .*"client":"acme"/s, 'page in a limit_except');
is(status(look('/except')), 401, 'page in a limit_except, for nobody');
like(look('/v1/models', 'acme'), qr/"client":"acme"/, 'page beside an if that goes elsewhere');

# What goes to an engine is none of the page.
is(status(look('/v1/models?if=1')), 401, 'if that goes elsewhere, for nobody');
look('/v1/models?if=1', 'acme') for 1 .. 2;
is(status(look('/v1/models?if=1', 'acme')), 429, 'limits hold in it');
is(status(look('/usage?if=1', 'acme')), 200, 'and not for the page');

###############################################################################

# What nginx -t says.

check_refused($t, $_) for @refused;

###############################################################################

sub look {
	my ($uri, $name) = @_;
	return get($uri, defined $name ? "Authorization: Bearer key-$name" : ());
}

###############################################################################
