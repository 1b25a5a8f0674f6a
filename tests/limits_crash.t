#!/usr/bin/perl

# A worker that dies takes nothing with it: limits are in shared memory, and who was refused stays
# refused.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# nginx logs an alert for a worker that was killed.
my $t = Test::Nginx->new()->has(qw/http proxy/)->todo_alerts()->plan(9)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier ten { requests 10r/h; }
    tollgate_limit failures key=$binary_remote_addr auth_failures=2r/h;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /failures {
            tollgate_apply failures;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        return       200 ENGINE;
    }
}

EOF

$t->write_file('keys.json', keys_file(
	map { { key => "key-$_", client => $_, tier => 'ten' } } qw/one spent new/));
$t->run();

###############################################################################

is(remaining('one'), 9, 'a client');
remaining('spent') for 1 .. 10;
is(status(get('/', 'X-API-Key: key-spent')), 429, 'a spent client');
get('/failures', 'X-API-Key: wrong') for 1 .. 2;
is(status(get('/failures', 'X-API-Key: wrong')), 429, 'a spent address');

poll { workers($t) == 2 };
my %killed = map { $_ => 1 } workers($t);
kill 'KILL', keys %killed;
ok(poll {
	my @now = workers($t);
	@now == 2 && !grep { $killed{$_} } @now;
}, 'new workers');

is(remaining('one'), 8, 'killed: a client has what it had');
is(status(get('/', 'X-API-Key: key-spent')), 429, 'killed: who was refused is refused');
is(status(get('/failures', 'X-API-Key: key-one')), 429, 'killed: a spent address');
is(remaining('new'), 9, 'killed: a new client finds its place');
is(remaining('one'), 7, 'killed: nothing hangs');

###############################################################################

sub remaining {
	my ($client) = @_;
	return header(get('/', "X-API-Key: key-$client"), 'x-ratelimit-remaining-requests');
}

###############################################################################
