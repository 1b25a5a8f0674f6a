#!/usr/bin/perl

# tollgate_upgrade: after "101 Switching Protocols" nothing on a connection is judged, counted or metered
# any more. So a client can't have it where the operator doesn't allow it, whatever nginx is told to pass
# on, and whatever the engine answers.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(21);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      free { requests 100000r/h; concurrency 1; }
    tollgate_api_keys  keys.json;
    tollgate_audit_log %%TESTDIR%%/audit.log;

    # nginx's own recipe.
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }

    server {
        listen       127.0.0.1:8080;

        tollgate on;

        proxy_http_version 1.1;
        proxy_set_header   Upgrade    $http_upgrade;
        proxy_set_header   Connection $connection_upgrade;

        location /default/ {
            proxy_pass http://127.0.0.1:8081;
        }

        location /early/ {
            if ($connection_upgrade = nothing) { return 400; }
            proxy_pass http://127.0.0.1:8081;
        }

        location /denied/ {
            tollgate_upgrade deny;
            proxy_pass http://127.0.0.1:8081;
        }

        location /forced/ {
            proxy_set_header Upgrade    websocket;
            proxy_set_header Connection upgrade;
            proxy_pass http://127.0.0.1:8081;
        }

        location /allowed/ {
            tollgate_upgrade allow;
            proxy_pass http://127.0.0.1:8081;
        }

        location /dry/ {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081;
        }

        location /open/ {
            tollgate off;
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOF

$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file({ key => 'tg_good', client => 'acme', tier => 'free' }));

# What nginx -t says.
for my $case (
	['tollgate_upgrade maybe;', qr/invalid value "maybe" in "tollgate_upgrade"; it takes "deny" or "allow"/],
	['tollgate_upgrade deny; tollgate_upgrade allow;', qr/"?tollgate_upgrade"? .*(duplicate|twice)|duplicate/],
) {
	my ($directive, $message) = @$case;
	my ($status, $output) = configtest($t, $conf =~ s/tollgate_upgrade allow;/$directive/r);
	isnt($status, 0, "$directive: refused");
	like($output, $message, "$directive: says why");
}

$t->run_daemon(\&engine, port(8081));
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

###############################################################################

for my $location (qw/default early denied/) {
	my $r = upgrade("/$location/", 'X-API-Key: tg_good');
	is(status($r), 200, "$location: goes on as HTTP");
	like(http_content($r), qr/^HTTP(?!.*TUNNEL)/s, "$location: the engine is not asked for anything else");
}

my $r = upgrade('/forced/', 'X-API-Key: tg_good');
is(status($r), 502, 'an engine that switches all the same: an error');
unlike($r, qr/TUNNEL/, 'an engine that switches all the same: nothing goes through');
$r = upgrade('/forced/', 'X-API-Key: tg_good');
is(status($r), 502, 'and its slot is free');

$r = upgrade('/allowed/', 'X-API-Key: tg_good');
is(status($r), 101, 'allow: switched');
like($r, qr/TUNNEL ping/, 'allow: and through');
$r = upgrade('/allowed/');
is(status($r), 401, 'allow: not without a key');

is(status(upgrade('/dry/')), 101, 'a dry run changes nothing');
is(status(upgrade('/open/')), 101, 'nor does what is not protected');
is(status(upgrade('/default/')), 401, 'default: not without a key');

$t->stop();
my %lines = map { $_->{path} => join ' ', grep { defined } @$_{qw/decision status upstream_status/} }
	audit_lines($t, 'audit.log');
is($lines{'/forced/'}, 'allow 502 101', 'log: what the client got, and what the engine said');
is($lines{'/default/'}, 'deny 401', 'log: refused');

###############################################################################

sub upgrade {
	my ($uri, @lines) = @_;
	return http(join("\r\n", "GET $uri HTTP/1.1", 'Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket',
		@lines, '', "ping\n"));
}

# Switches when it is asked to; the tunnel has one line in each direction.
sub engine {
	my ($port) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 5, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	while (my $client = $server->accept()) {
		my $head = '';
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
			$head .= $_;
		}
		if ($head =~ /^Upgrade: websocket/mi) {
			print $client "HTTP/1.1 101 Switching Protocols\x0d\x0aUpgrade: websocket\x0d\x0a"
				. "Connection: upgrade\x0d\x0a\x0d\x0a";
			$client->flush();
			if ($head !~ m!^GET /forced!) {
				my $line = <$client>;
				print $client 'TUNNEL ', $line // '';
			}
		} else {
			print $client "HTTP/1.1 200 OK\x0d\x0aContent-Length: 4\x0d\x0aConnection: close\x0d\x0a\x0d\x0aHTTP";
		}
		close $client;
	}
}

###############################################################################
