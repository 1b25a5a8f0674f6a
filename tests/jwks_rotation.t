#!/usr/bin/perl

# The keys of tollgate_jwt_key_request as time goes by: they are refreshed before they are stale, kept
# while the provider is down, and asked for anew when a token names one that is not known. No request
# waits without need, and nobody can make Tollgate ask often.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ header hs256 json status /;
use Tollgate::Client;
use Tollgate::Provider;

use Time::HiRes qw/sleep time/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->has_daemon('openssl')->plan(124);

start_provider($t, 8090);
new_key($_) for qw/old new third/;
my %token = map { $_ => token($_, { sub => $_ }) } qw/old new third/;

# Each has a key set of its own, and asks for it by its own name.
my %places = (
	(map { $_ => '1h' } qw/rotate throttle waits failing known changed unnamed forged leaves unlucky reload workers/),
	down => '1s stale=2s',
	nothing => '1s stale=0',
	early => '3s stale=1h',
	idle => '1s stale=1h',
	refresh => '1s stale=1h',
	recovers => '1s stale=1h',
	patient => '1s stale=1h',
	bodies => '1s stale=1h',
	finish => '1s stale=1h',
	close => '1s stale=1h',
);
my %special = (
	bodies => 'proxy_pass http://127.0.0.1:8090/backend;',
	finish => 'proxy_pass http://127.0.0.1:8090/held;'
		. ' location /finish/now/ { proxy_pass http://127.0.0.1:8081; }',
	close => 'tollgate_on_revoke close; proxy_pass http://127.0.0.1:8090/held;'
		. ' location /close/now/ { proxy_pass http://127.0.0.1:8081; }',
);
my $locations = join '', map {
	"        location /$_/ {\n"
		. "            tollgate_jwt_key_request /_$_;\n"
		. "            tollgate_jwt_key_cache $places{$_};\n"
		. '            ' . ($special{$_} // 'proxy_pass http://127.0.0.1:8081;') . "\n"
		. "        }\n"
		. "        location = /_$_ {\n"
		. "            internal;\n"
		. "            proxy_set_header X-Refetch \$tollgate_key_refetch;\n"
		. "            proxy_pass http://127.0.0.1:8090/$_;\n"
		. "        }\n"
} sort keys %places;

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes %%WORKERS%%;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone          zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier          free { }
    tollgate_default_tier  free;
    tollgate_auth          jwt;

    add_header X-Reason $tollgate_reason always;

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;
        tollgate_jwt_key_request /_rotate;

%%LOCATIONS%%

        location = /pid {
            tollgate off;
            return 200 $pid;
        }
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

$conf =~ s/%%LOCATIONS%%/$locations/;
$t->write_file_expand('nginx.conf', $conf =~ s/%%WORKERS%%/1/r);
answers($_, body => key_set('old')) for keys %places;
$t->run();

###############################################################################

# a new key is used as soon as a token names it

is(client('/rotate/', 'old'), 'old', 'rotation: before');
answers('rotate', body => key_set('old', 'new'));
is(client('/rotate/', 'old'), 'old', 'rotation: the key that is known');
is(scalar(asked('rotate')), 1, 'rotation: needs no fetch');
is(client('/rotate/', 'new'), 'new', 'rotation: the new key works at once');
is(client('/rotate/', 'old'), 'old', 'rotation: and the old one still does');
my @asked = asked('rotate');
is(join(' ', map { $_->{headers}{'x-refetch'} // 'none' } @asked), 'none 1',
	'rotation: $tollgate_key_refetch');

# A set that has lost a key is in force when it has come, for whatever reason.
answers('rotate', body => key_set('new', 'third'));
is(client('/rotate/', 'old'), 'old', 'rotation: an old key, as long as nobody asks');
is(status(bearer('/rotate/', $token{third})), 401, 'rotation: an unknown key, within 10 s');
is(scalar(asked('rotate')), 2, 'rotation: is not asked for');

# a hundred names that nobody knows

is(client('/throttle/', 'old'), 'old', 'throttle: before');
my %statuses;
for my $number (1 .. 100) {
	my $r = bearer('/throttle/', unsigned("random-$number", { sub => 'x' }));
	$statuses{status($r) . ' ' . header($r, 'X-Reason')}++;
}
is(join(',', map { "$statuses{$_} x $_" } keys %statuses), '100 x 401 invalid_token',
	'throttle: all refused');
is(scalar(asked('throttle')), 2, 'throttle: one fetch');
is(client('/throttle/', 'old'), 'old', 'throttle: a known key all the same');

# what is not about an unknown key

is(client('/known/', 'old'), 'old', 'known key: before');
is(status(bearer('/known/', hs256('s' x 32, { sub => 'x', exp => time() + 60 }, kid => 'old'))), 401,
	'known key: an algorithm of secrets');
is(status(bearer('/known/', token('old', { sub => 'x', exp => 1 }))), 401, 'known key: expired');
is(status(bearer('/known/', 'x.y.z')), 401, 'no token at all');
is(status(bearer('/known/', '')), 401, 'no credential');
is(scalar(asked('known')), 1, 'these cause no fetch');

# a key that changes under its name, whether it has one or not

for my $kid ('old', undef) {
	my $name = defined $kid ? 'changed' : 'unnamed';
	my $set = sub { json({ keys => [jwk($_[0], kid => $kid)] }) };
	my $by = sub { token($_[0], { sub => $_[0] }, kid => $kid) };
	answers($name, body => $set->('old'));
	my ($old, $new, $third) = map { $by->($_) } qw/old new third/;
	is(http_content(bearer("/$name/", $old)), 'old', "$name: before");
	answers($name, body => $set->('new'));
	is(http_content(bearer("/$name/", $new)), 'new', "$name: the new key works at once");
	is(status(bearer("/$name/", $old)), 401, "$name: the old one no more");
	is(join(' ', map { $_->{headers}{'x-refetch'} // 'none' } asked($name)), 'none 1', "$name: one fetch");
	# Strangers can make up as many signatures as they like.
	answers($name, body => $set->('third'));
	my %refused;
	$refused{status(bearer("/$name/", $_))}++ for $third, (map { unsigned($kid // 'x', { sub => $_ }) } 1 .. 50), $old;
	is(join(' ', %refused), '401 52', "$name: others are refused");
	is(scalar(asked($name)), 2, "$name: within 10 s there is no other fetch");
	is(http_content(bearer("/$name/", $new)), 'new', "$name: and the key that is known works");
}

answers('forged', body => key_set('old'));
is(client('/forged/', 'old'), 'old', 'forged: before');
is(status(bearer('/forged/', unsigned('old', { sub => $_ }))), 401, "forged: refused, $_") for 1 .. 5;
is(scalar(asked('forged')), 2, 'forged: one fetch');
is(client('/forged/', 'old'), 'old', 'forged: the key stays');
answers('forged', body => key_set('old', 'new'));
is(client('/forged/', 'new'), 'new', 'forged: and keeps no new key waiting');
is(scalar(asked('forged')), 3, 'forged: which is asked for at once');

# who waits for a fetch, and who does not

is(client('/waits/', 'old'), 'old', 'waits: before');
answers('waits', hold => 1);
my @waiting = map { asking('/waits/', 'new') } 1 .. 5;
asked_soon('waits', 2);
is(client('/waits/', 'old'), 'old', 'waits: not for a known key');
is(scalar(grep { $_->has_answer() } @waiting), 0, 'waits: for an unknown one');
answers('waits', body => key_set('new'));
is(join(' ', map { http_content($_->answer()) } @waiting), 'new new new new new',
	'waits: all pass then');
is(scalar(asked('waits')), 2, 'waits: one fetch');
is(status(bearer('/waits/', $token{old})), 401, 'waits: a key that is no longer there');

# a refetch that fails

is(client('/failing/', 'old'), 'old', 'failing refetch: before');
answers('failing', status => 500, body => key_set('new'));
my $r = bearer('/failing/', $token{new});
is(status($r), 401, 'failing refetch: the token is refused');
is(header($r, 'X-Reason'), 'invalid_token', 'failing refetch: for what is known');
is(client('/failing/', 'old'), 'old', 'failing refetch: changes nothing');
is(scalar(asked('failing')), 2, 'failing refetch: one fetch');
is(status(bearer('/failing/', $token{new})), 401, 'failing refetch: again');
is(scalar(asked('failing')), 2, 'failing refetch: is not repeated at once');

# a client that leaves while it waits for a refetch

is(client('/leaves/', 'old'), 'old', 'leaves: before');
answers('leaves', hold => 1);
my ($leaves, $stays) = map { asking('/leaves/', 'new') } 1, 2;
asked_soon('leaves', 2);
$leaves->close();
is(client('/leaves/', 'old'), 'old', 'leaves: others are served');
answers('leaves', body => key_set('new'));
is(status($stays->answer()), 200, 'leaves: so is who waits as well');

###############################################################################

# the provider is down: the keys are kept, for so long

my $sent = time();
is(client('/down/', 'old'), 'old', 'down: before');
my $loaded = time();
answers('down', close => 1);
# When the first one was refused, and when the last one was sent that passed: on a slow machine much may
# be between them.
my ($lost, $last, $passed) = (undef, 0, $sent);
poll {
	my $now = time();
	my $r = bearer('/down/', $token{old});
	$last = time();
	$lost = status($r) . ' ' . header($r, 'X-Reason') if status($r) != 200;
	$passed = $now unless $lost;
	$lost;
};
is($lost, '503 keys_unavailable', 'down: in the end there are none');
cmp_ok($last - $sent, '>=', 3, 'down: but not before the time is up');
cmp_ok($passed - $loaded, '<', 3 + 1, 'down: and not much longer');
my @times = map { $_->{time} } asked('down');
cmp_ok(scalar(@times), '>=', 3, 'down: the provider is asked again');
cmp_ok(scalar(@times), '<=', 3 + ($last - $sent) / 0.1, 'down: but not with each request');
answers('down', body => key_set('new'));
ok((poll { client('/down/', 'new') eq 'new' }), 'down: it is back');
is(status(bearer('/down/', $token{old})), 401, 'down: with other keys');

# and where they are not kept

$sent = time();
is(client('/nothing/', 'old'), 'old', 'stale=0: before');
answers('nothing', status => 503);
$loaded = time();
undef $lost;
poll {
	my $now = time();
	$lost = status(bearer('/nothing/', $token{old}));
	$last = time();
	$passed = $now if $lost == 200;
	$lost != 200;
};
is($lost, 503, 'stale=0: there are none');
cmp_ok($last - $sent, '>=', 1, 'stale=0: when the time is up');
cmp_ok($passed - $loaded, '<', 1 + 1, 'stale=0: and not much longer');

# down for a while

is(client('/recovers/', 'old'), 'old', 'recovers: before');
answers('recovers', status => 502);
my $refused = 0;
poll { $refused++ if client('/recovers/', 'old') ne 'old'; asked('recovers') >= 4 };
is($refused, 0, 'recovers: nobody is refused');
answers('recovers', body => key_set('old', 'new'));
ok((poll { client('/recovers/', 'new') eq 'new' }), 'recovers: a new key, in the end');
is(complaints($t, '/_recovers'), 1, 'recovers: told once');

# not asked again at once after a failure

answers('unlucky', status => 500);
$sent = time();
is(status(bearer('/unlucky/', $token{old})), 503, 'a first fetch that fails');
is(status(bearer('/unlucky/', $token{old})), 503, 'a first fetch that fails: and the next request');
my $count = asked('unlucky');
my $took = time() - $sent;
ok($count == 1 || $took >= 1, 'a first fetch that fails: is not repeated at once');
answers('unlucky', body => key_set('old'));
ok((poll { client('/unlucky/', 'old') eq 'old' }), 'a first fetch that fails: the next one');
cmp_ok(time() - $sent, '>=', 1, 'a first fetch that fails: after a second');

###############################################################################

# refreshed in the background, before they are stale

$sent = time();
is(client('/early/', 'old'), 'old', 'refresh: before');
$loaded = time();
answers('early', hold => 1);
my $longest = 0;
$refused = 0;
poll {
	my $sent = time();
	$refused++ if client('/early/', 'old') ne 'old';
	$longest = time() - $sent if time() - $sent > $longest;
	asked('early') == 2;
};
my $noticed = time();
my ($at) = map { $_->{time} } (asked('early'))[1];
cmp_ok($at - $sent, '>=', 2.4, 'refresh: after four fifths of the time');
cmp_ok($at - $loaded, '<', 3 + $longest, 'refresh: before it is up');
# The provider does not answer: whoever had to wait for it would wait for good.
until (time() > $loaded + 3.3) {
	my $sent = time();
	$refused++ if client('/early/', 'old') ne 'old';
	$longest = time() - $sent if time() - $sent > $longest;
}
is($refused, 0, 'refresh: everybody is served meanwhile');
# Who waits for the provider, waits until the test gives up.
cmp_ok($longest, '<', 20, 'refresh: nobody waits');
is(scalar(asked('early')), 2, 'refresh: one fetch');
is((asked('early'))[1]{headers}{'x-refetch'}, undef, 'refresh: for no unknown key');
answers('early', body => key_set('new'));
ok((poll { status(bearer('/early/', $token{old})) == 401 }), 'refresh: the old key is gone');
is(client('/early/', 'new'), 'new', 'refresh: the new one is there');

# a rotation without any overlap, and no token that names the new key

is(client('/refresh/', 'old'), 'old', 'old key: before');
answers('refresh', body => key_set('third'));
ok((poll { status(bearer('/refresh/', $token{old})) == 401 }), 'old key: is refused after a refresh');
cmp_ok(scalar(asked('refresh')), '<=', 3, 'old key: which took one fetch, and one for the old name');

# nobody comes, nobody asks

is(client('/idle/', 'old'), 'old', 'idle: before');
sleep 2.5;
is(scalar(asked('idle')), 1, 'idle: nobody asks');
is(client('/idle/', 'old'), 'old', 'idle: and then passes');
ok((poll { client('/idle/', 'old'); asked('idle') >= 2 }), 'idle: and has it refreshed');

# the client of the background's request gets its answer, on a connection that goes on

is(client('/patient/', 'old'), 'old', 'background: before');
answers('patient', hold => 1);
my $c = connection();
$passed = 0;
my $ended = poll {
	my $r = $c->ask(request('/patient/', "Authorization: Bearer $token{old}"));
	$passed++ if (status($r) // 0) == 200;
	asked('patient') == 2;
};
ok($ended, 'background: begins');
is(status($c->ask(request('/patient/', "Authorization: Bearer $token{old}"))), 200,
	'background: the next request on its connection');
$c->close();
answers('patient', body => key_set('old', 'new'));
ok((poll { client('/patient/', 'new') eq 'new' }), 'background: its client has left');

# requests with a body, some of which have the keys fetched

answers('backend', body => '{}');
$c = connection();
my ($sent_bodies, $not_passed) = (0, 0);
my $fetched = poll {
	my $body = 'x' x (10 ** ($sent_bodies % 6));
	my $r = $c->ask(request('POST /bodies/', "Authorization: Bearer $token{old}",
		'Content-Length: ' . length $body) . $body);
	$not_passed++ if (status($r) // 0) != 200;
	$sent_bodies++;
	# Each size several times.
	$sent_bodies >= 60 && asked('bodies') >= 3;
};
is($not_passed, 0, 'bodies: all pass');
ok($fetched, 'bodies: while keys are fetched');
is(scalar(grep { length $_->{body} ne 10 ** ($_->{headers}{'content-length'} =~ tr/0//) }
	asked('backend')), 0, 'bodies: all arrive');

# a request that runs while its key goes

answers('held', hold => 1);
my %running = map { $_ => asking("/$_/", 'old') } qw/finish close/;
asked_soon('held', 2);
answers($_, body => key_set('new')) for keys %running;
ok((poll { status(bearer("/$_/now/", $token{old})) == 401 }), "runs: its key goes, $_") for qw/finish close/;
ok($running{close}->is_closed(), 'runs: is cut off, with tollgate_on_revoke');
answers('held', body => '{}');
is(status($running{finish}->answer()), 200, 'runs: comes to its end, without');

# The same where all keys go.
answers('held', hold => 1);
%running = map { $_ => asking("/$_/", 'new') } qw/finish close/;
asked_soon('held', 4);
answers($_, body => '{"keys":[]}') for keys %running;
ok((poll { status(bearer("/$_/now/", $token{new})) == 503 }), "runs: all keys go, $_") for qw/finish close/;
ok($running{close}->is_closed(), 'runs: all keys go: is cut off, with tollgate_on_revoke');
answers('held', body => '{}');
is(status($running{finish}->answer()), 200, 'runs: all keys go: comes to its end, without');

###############################################################################

# a reload during a fetch

answers('reload', hold => 1);
my $before = asking('/reload/', 'old');
asked_soon('reload', 1);
reload_and_wait($t);
my $after = asking('/reload/', 'old');
is(scalar(asked_soon('reload', 2)), 2, 'reload: a new worker asks for itself');
answers('reload', body => key_set('old'));
is(status($before->answer()), 200, 'reload: who waits in the old worker');
is(status($after->answer()), 200, 'reload: and in the new one');

# several workers

$t->write_file_expand('nginx.conf', $conf =~ s/%%WORKERS%%/3/r);
reload_and_wait($t);
$count = asked('workers');
my $connections = connections_to_workers(3, 1);
my @each = map { @$_ } values %$connections;
my $all = sub {
	my ($name) = @_;
	return join ' ', map {
		status($_->ask(request('/workers/', "Authorization: Bearer $token{$name}"))) // 'none'
	} @each;
};
is($all->('old') . ', ' . $all->('old'), '200 200 200, 200 200 200', 'workers: each has the keys');
is(asked('workers') - $count, 3, 'workers: for which each has asked once');
answers('workers', body => key_set('new'));
is($all->('new'), '200 200 200', 'workers: a new key works in each');
is($all->('old'), '401 401 401', 'workers: and the old one in none');
is(asked('workers') - $count, 6, 'workers: for which each has asked once more');

# and an unknown key again, when ten seconds are over

# The reload has begun anew.
answers('rotate', body => key_set('old'));
my $ask = sub {
	my ($name) = @_;
	return status($each[0]->ask(request('/rotate/', "Authorization: Bearer $token{$name}"))) // 0;
};
is($ask->('old'), 200, 'ten seconds: before');
is($ask->('new'), 401, 'ten seconds: an unknown key');
my $refetched = (asked('rotate'))[-1]{time};
answers('rotate', body => key_set('old', 'new'));
is($ask->('new'), 401, 'ten seconds: is not asked for again');
ok((poll { $ask->('new') == 200 }), 'ten seconds: but later');
cmp_ok(time() - $refetched, '>=', 9.5, 'ten seconds: when they are over');

###############################################################################

# The response is there when it is complete: the connection may be busy with a question for a while.
sub bearer {
	my ($uri, $token) = @_;
	my $connection = connection();
	my $response = $connection->ask(request($uri, "Authorization: Bearer $token"));
	$connection->close();
	return $response;
}

# The client that the backend sees, or the status.
sub client {
	my ($uri, $name) = @_;
	my $r = bearer($uri, $token{$name});
	return (status($r) // 0) == 200 ? http_content($r) : status($r) // 'none';
}

# A request that is going to wait: its connection.
sub asking {
	my ($uri, $name) = @_;
	my $connection = connection();
	$connection->send(request($uri, "Authorization: Bearer $token{$name}"));
	return $connection;
}

###############################################################################
