<?php
// Calendars, address books and files of alice, on Debian's sabre/dav (php-sabre-dav), the core of Nextcloud and Baikal. For tests:
//
//     SABRE_DATA=DIRECTORY php -S 127.0.0.1:PORT tests/servers/sabre.php
//
// What it holds is in DIRECTORY/db.sqlite and DIRECTORY/files. With PHP_CLI_SERVER_WORKERS set it answers several requests at once.

// This sabre is older than this PHP: what PHP says about that has no place in an answer.
error_reporting(E_ERROR | E_PARSE);
ini_set('display_errors', 'stderr');
date_default_timezone_set('UTC');
// An event of every second until 2038 is refused instead of counted.
set_time_limit(2);
set_include_path('/usr/share/php');
require_once 'Sabre/autoload.php';

$file = (getenv('SABRE_DATA') ?: sys_get_temp_dir()) . '/db.sqlite';
$tables = !file_exists($file) || filesize($file) === 0;
$pdo = new PDO('sqlite:' . $file, null, null, [PDO::ATTR_TIMEOUT => 30, PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
// Nothing here has to outlive a crash of the machine.
$pdo->exec('PRAGMA synchronous = OFF');
if ($tables) {
    // As sabre has them in its examples; another request may be doing the same.
    $pdo->exec('BEGIN IMMEDIATE');
    $create = 'CREATE TABLE IF NOT EXISTS';
    $pdo->exec("$create addressbooks (id integer primary key asc, principaluri text, displayname text, uri text,
        description text, ctag integer)");
    $pdo->exec("$create cards (id integer primary key asc, addressbookid integer, carddata blob, uri text,
        lastmodified integer)");
    $pdo->exec("$create calendars (id integer primary key asc, principaluri text, displayname text, uri text,
        ctag integer, description text, calendarorder integer, calendarcolor text, timezone text, components text,
        transparent bool)");
    $pdo->exec("$create calendarobjects (id integer primary key asc, calendardata blob, uri text, calendarid integer,
        lastmodified integer, etag text, size integer, componenttype text, firstoccurence integer,
        lastoccurence integer)");
    $pdo->exec("$create principals (id integer primary key asc, uri text unique, email text, displayname text,
        vcardurl text)");
    $pdo->exec("$create groupmembers (id integer primary key asc, principal_id integer, member_id integer,
        unique(principal_id, member_id))");
    $pdo->exec("INSERT OR IGNORE INTO principals (uri, email, displayname)
        VALUES ('principals/alice', 'alice@example.org', 'Alice'),
        ('principals/alice/calendar-proxy-read', null, null), ('principals/alice/calendar-proxy-write', null, null)");
    $pdo->exec('COMMIT');
}

class Login extends Sabre\DAV\Auth\Backend\AbstractBasic {
    protected function validateUserPass($username, $password) {
        return $username === 'alice' && $password === 'secret';
    }
}

$principals = new Sabre\DAVACL\PrincipalBackend\PDO($pdo);
$server = new Sabre\DAV\Server([
    new Sabre\CalDAV\Principal\Collection($principals),
    new Sabre\CalDAV\CalendarRootNode($principals, new Sabre\CalDAV\Backend\PDO($pdo)),
    new Sabre\CardDAV\AddressBookRoot($principals, new Sabre\CardDAV\Backend\PDO($pdo)),
    new Sabre\DAV\FSExt\Directory(dirname($file) . '/files'),
]);
$server->setBaseUri('/');
$server->addPlugin(new Sabre\DAV\Auth\Plugin(new Login(), 'sabre'));
$server->addPlugin(new Sabre\CalDAV\Plugin());
$server->addPlugin(new Sabre\CardDAV\Plugin());
$server->addPlugin(new Sabre\DAVACL\Plugin());
$server->exec();
