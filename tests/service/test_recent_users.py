from service.recent_users import RecentUsers


def test_who_was_asked_for_last_comes_first():
    users = RecentUsers()
    for user in ("a", "b", "c", "a"):
        users.note(user)
    assert users.newest_first() == ["a", "c", "b"]


def test_who_was_not_asked_for_the_longest_is_let_go():
    users = RecentUsers()
    for number in range(1_500):
        users.note(str(number))
    assert users.newest_first() == [str(number) for number in range(1_499, 499, -1)]


def test_a_forgotten_user_is_gone():
    users = RecentUsers()
    users.note("a")
    users.forget("a")
    users.forget("never seen")
    assert users.newest_first() == []
