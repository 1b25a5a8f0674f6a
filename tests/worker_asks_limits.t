#!/usr/bin/perl

# Questions of the worker's own where nginx has little left: connections, time, a provider in nginx's cache.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ status /;
use Tollgate::Client;
use Tollgate::Provider;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http cache proxy rewrite/)->has_daemon('openssl')->plan(22);

start_provider($t, 8090);
new_key('one');
my $bearer = 'Authorization: Bearer ' . token('one', { sub => 'acme' });

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 1;
worker_shutdown_timeout 1s;

events {
    worker_connections 24;
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone          zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier          free { }
    tollgate_default_tier  free;
    tollgate_auth          jwt;
    proxy_cache_path       %%TESTDIR%%/cache keys_zone=keys:1m;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_jwt_key_request /_busy;

        location = /ping { tollgate off; return 204; }

        location /busy/ {
            alias %%TESTDIR%%/served/;
        }

        location = /_busy { internal; proxy_pass http://127.0.0.1:8090/busy; }

        location /opaque/ {
            tollgate_auth                  introspection;
            tollgate_introspection_request /_opaque;
            tollgate_introspection_cache   0;
            proxy_pass http://127.0.0.1:8081/;
        }

        location = /_opaque { internal; return 200 '{"active":true,"sub":"acme"}'; }

        location /held/ {
            tollgate_auth                  introspection;
            tollgate_introspection_request /_held;
            alias %%TESTDIR%%/served/;
        }

        location = /_held { internal; proxy_pass http://127.0.0.1:8090/opaque-held; }

        location /keys/ {
            tollgate_jwt_key_request /_keys;
            tollgate_jwt_key_cache   1s stale=1h;
            alias %%TESTDIR%%/served/;
        }

        location = /_keys { internal; proxy_pass http://127.0.0.1:8090/keys; }

        # two questions, one fetch

        location /locked/1/ { tollgate_jwt_key_request /_locked-1; proxy_pass http://127.0.0.1:8081/; }
        location /locked/2/ { tollgate_jwt_key_request /_locked-2; proxy_pass http://127.0.0.1:8081/; }

        location /_locked {
            internal;
            proxy_cache       keys;
            proxy_cache_key   locked;
            proxy_cache_valid 1h;
            proxy_cache_lock  on;
            proxy_pass        http://127.0.0.1:8090/locked/;
        }

        # two servers that are dead

        location /dead/ {
            tollgate_jwt_key_request /_dead;
            proxy_pass http://127.0.0.1:8081/;
        }

        location = /_dead { internal; proxy_read_timeout 1h; proxy_pass http://dead/held; }
    }

    upstream dead {
        server 127.0.0.1:8090;
        server 127.0.0.1:8090;
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 $http_x_client_id;
        }
    }
}

EOC

mkdir $t->testdir() . '/served';
$t->write_file('served/index.html', 'served');
answers($_, body => key_set('one')) for qw/busy keys locked/;
$t->run();

my $c = connection();
my $get = sub {
	my ($uri, $header) = @_;
	my $r = $c->ask(request($uri, $header // 'Authorization: Bearer opaque'));
	return (status($r) // 0) == 200 ? http_content($r) : status($r) // 'none';
};

###############################################################################

# Clients that wait take all connections but one. A question needs two.

is($get->('/opaque/'), 'acme', 'connections: enough');
answers('busy', hold => 1);
my @waiting;
ok((poll {
	push @waiting, connection();
	$waiting[-1]->send(request('/busy/', $bearer));
	asked_soon('busy', 1) if @waiting == 1;
	# When this is answered, the client has been accepted.
	$get->('/ping') for 1 .. 2;
	$get->('/opaque/') eq '503';
}), 'connections: one is left');
cmp_ok(scalar(@waiting), '>', 5, 'connections: by many clients');
is($get->('/opaque/'), 503, 'connections: still');
is($get->('/keys/', $bearer), 503, 'connections: nor for keys');
is($get->('/keys/', $bearer), 503, 'connections: again');
answers('busy', body => key_set('one'));
is(join(' ', map { status($_->answer()) } @waiting), join(' ', ('200') x @waiting),
	'connections: who waits is answered');
$_->close() for @waiting;
ok((poll { $get->('/opaque/') eq 'acme' }), 'connections: enough again');
ok((poll { $get->('/keys/', $bearer) eq 'served' }), 'connections: for keys as well');
is(join(' ', map { $get->('/opaque/') } 1 .. 100), join(' ', ('acme') x 100),
	'connections: each question gives its own back');
my @told = grep { /\[error\].*nginx has no connection/ } split /\n/, $t->read_file('error.log');
is(scalar(grep { m!"/_opaque" \(tollgate_introspection_request\)! } @told), 1,
	'connections: the error log says so');
is(scalar(grep { m!"/_keys" \(tollgate_jwt_key_request\)! } @told), 1, 'connections: once for each');

# Strangers who ask and leave: what nobody waits for makes room.

answers('opaque-held', hold => 1);
my $served = 0;
for my $number (1 .. 40) {
	my $stranger = connection();
	$stranger->send(request('/held/', "Authorization: Bearer guess-$number"));
	$get->('/ping') for 1 .. 2;
	$stranger->close();
	$served++ if poll { $get->('/opaque/') eq 'acme' };
}
is($served, 40, 'strangers leave: everybody is served');
unlike($t->read_file('error.log'), qr/\[error\].*"\/_held"/, 'strangers leave: at once');
my $stays = connection();
$stays->send(request('/held/', 'Authorization: Bearer mine'));
poll { grep { $_->{params}{token} eq 'mine' } asked('opaque-held') };
answers('opaque-held', body => { active => JSON::PP::true(), sub => 'acme' });
is(status($stays->answer()), 200, 'strangers leave: who waits is answered');

# nginx's cache

answers('locked', hold => 1);
my @locked = map { my $c = connection(); $c->send(request("/locked/$_/", $bearer)); $c } 1, 2;
asked_soon('locked', 1);
ping();
answers('locked', body => key_set('one'));
is(join(' ', map { status($_->answer()) // 'none' } @locked), '200 200', 'cache: locked');
is(scalar(asked('locked')), 1, 'cache: locked: one fetch');

# Two servers that never answer: given up after five seconds, and not once for each.

answers('held', hold => 1);
my @dead = map { my $c = connection(); $c->send(request('/dead/', $bearer)); $c } 1, 2;
is(join(' ', map { status($_->answer()) // 'none' } @dead), '503 503', 'dead: given up');
ok((poll { $t->read_file('error.log') =~ /asked by tollgate, server: localhost, request: "GET \/_dead / }),
	'dead: the error log says who has asked');
answers('held', body => key_set('one'));
ok((poll { $get->('/dead/', $bearer) eq 'acme' }), 'dead: is back');

# nginx closes what is open, when a worker is to end and takes too long

answers('busy', hold => 1);
reload_and_wait($t);
my $last = connection();
my $count = asked('busy');
$last->send(request('/busy/', $bearer));
asked_soon('busy', $count + 1);
my ($old) = reload_and_wait($t);
ok($last->is_closed(), 'worker_shutdown_timeout: the client is cut off');
ok((poll { !kill 0, $old }), 'worker_shutdown_timeout: and the question');

$t->stop();

###############################################################################
